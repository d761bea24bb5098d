"""What an erasure can show for itself: a signed statement that chains to the one before, and its verification."""
