"""Reports: tables, plots, notebooks and the pages made of them."""
