"""`holdfast cluster`: everything several times on this machine, so that any one may be killed."""
