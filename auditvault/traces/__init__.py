"""Headers of interactions: span trees and search. Content is not here; see `vault`."""
