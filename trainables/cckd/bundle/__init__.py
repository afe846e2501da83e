"""What every trial reads: data and teacher outputs as one bundle."""
