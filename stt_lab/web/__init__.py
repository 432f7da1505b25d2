"""HTTP: routes printed from the operations, uploads, downloads, sign-in, OpenAPI and the reference page."""
