"""Access reviews: who can see content, frozen once a quarter, and signed off by somebody who gave none of it."""
