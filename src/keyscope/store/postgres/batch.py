"""Group commit on PostgreSQL: what waits runs in one transaction, each piece of work in a savepoint of its own.

The row of numbers is locked first. So the writes of all nodes come one after the other, and numbers in the order of
commits.
"""

from __future__ import annotations

from psycopg.pq import PipelineStatus

from keyscope.errors import StoreUnavailable
from keyscope.store.batch import Job
from keyscope.store.postgres import query as pg
from keyscope.store.postgres.connect import Link
from keyscope.store.postgres.gathered import Gathered
from keyscope.store.postgres.supposed import NotNew
from keyscope.store.postgres.writer import Numbers, PostgresWriter


def run_together(link: Link, jobs: list[Job], database_id: str) -> Numbers:
    """Run the jobs in one transaction and commit it durably. Returns the last numbers that were given.

    What fails is kept in its job. Raises what the transaction as a whole fails with; then the link is of no more use.
    """
    with link.lasting():
        try:
            return _run(link, jobs, database_id, supposes=True)
        except NotNew:
            link.execute("ROLLBACK")
            return _run(link, jobs, database_id, supposes=False)


def _run(link: Link, jobs: list[Job], database_id: str, *, supposes: bool) -> Numbers:
    with link.pipeline() as pipeline:
        link.execute(pg.BEGIN_WRITING)
        writer = PostgresWriter(Gathered(link, pipeline), _lock(link, database_id), supposes=supposes)
        for job in jobs:
            _run_apart(link, writer, job)
        last = writer.finish()
        link.execute("COMMIT")
    return last


def _lock(link: Link, database_id: str) -> Numbers:
    row = link.execute(pg.LOCK).fetchone()
    change, event, found = row or (0, 0, None)
    if found != database_id:
        raise StoreUnavailable("the database has another id than when it was opened")
    return Numbers(change, event)


def _run_apart(link: Link, writer: PostgresWriter, job: Job) -> None:
    writer.begin()
    try:
        job.run(writer)
    except Exception as error:
        if isinstance(error, NotNew) or link.closed or link.pgconn.pipeline_status != PipelineStatus.ON:
            # All begin again; or PostgreSQL itself complains, and has ended the transaction of all.
            raise
        writer.undo()
        job.fail(error)
    else:
        writer.settle()
