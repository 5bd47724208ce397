"""One file is one command; a stage never imports another stage."""
