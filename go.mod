module neoapi

go 1.26.8
