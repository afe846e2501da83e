"""The teacher fitted on its cached features."""
