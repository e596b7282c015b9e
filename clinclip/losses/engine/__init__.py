"""The mathematics of contrastive losses: torch and distributed only, usable without any loss term."""
