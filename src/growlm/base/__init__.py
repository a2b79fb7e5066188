"""What every room needs: errors, files, seeds, units. Standard library only."""
