"""The ways in beside the upload: files of the machine, watched places, references, manifests."""
