"""Names for addresses: from a file that the user keeps, and from DNS where that is switched on."""
