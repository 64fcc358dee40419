"""The files of a source: listed, sorted out with reasons, fetched; tables whose log says which count."""
