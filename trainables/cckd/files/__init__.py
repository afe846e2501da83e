"""Files written whole, and JSON that carries its own hash."""
