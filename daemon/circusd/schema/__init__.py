"""Tables of plain data: options, commands, events, errors and the wire format."""
