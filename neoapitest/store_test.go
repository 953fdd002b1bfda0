package neoapitest_test

import _ "neoapi/internal/store/postgres/pgtest" // for tests that run on PostgreSQL
