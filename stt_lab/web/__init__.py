"""HTTP: routes generated from the operations, uploads, downloads, sign-in, OpenAPI and the reference page."""
