"""Small cell libraries with known figures."""
