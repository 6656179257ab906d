"""How much each person looks at: a daily budget of subjects, and what is unusual for them."""
