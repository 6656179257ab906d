"""`auditvault-verify`: checks receipts offline, with nothing but `auditvault.core.tlog`."""
