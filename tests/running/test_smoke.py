import batchq
def test_a_batch_runs(conn):
    assert batchq.run(conn, batchq.sql("select 1").scalar(int)) == 1
