"""Key providers: where root keys live (`KeyProvider` in `auditvault.core.crypto.keywrap`)."""
