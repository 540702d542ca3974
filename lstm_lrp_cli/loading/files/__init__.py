"""Files of named arrays, sized before they are read: one file a format."""
