"""Rules as pure functions and tables: who may do what, and for which purpose."""
