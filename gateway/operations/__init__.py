"""Operations: what a request or a frame asks for, as a command; and the one answer that both are given. A file a feature."""
