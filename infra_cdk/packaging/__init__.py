"""What Lambda gets: layers and functions, made on any machine, without Docker."""
