"""`POST /etl-mgr/api/apijob`: from a request to a command, from a reply to an answer."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from diem_operator.access.permissions import Answer, authorize, find_reference
from diem_operator.access.registry import KeyEntry
from diem_operator.api.answers import build_answer, build_legacy_unknown_job
from diem_operator.api.authentication import KEY_ENTRY, Authenticator
from diem_operator.api.body import read_object
from diem_operator.api.cache import JobCache
from diem_operator.api.command import IDEMPOTENCY_KEY, Command, parse_command
from diem_operator.api.errors import Problem, ProblemKind, UnknownJob
from diem_operator.api.jobs import JobDesk
from diem_operator.api.middlewares import COMMAND
from diem_operator.model.diemapikey import StatusCodes
from diem_operator.model.diemjob import DiemJob
from diem_operator.settings import ApiSettings

PATH: Final = "/etl-mgr/api/apijob"


@dataclass(frozen=True, kw_only=True)
class JobEndpoint:
    """Answers requests for jobs.

    Attributes:
        is_cache_synced: whether the jobs are known wherever they may be read.
        may_cache_lack: whether there may be jobs in a namespace that are not known.
    """

    settings: ApiSettings
    authenticator: Authenticator
    cache: JobCache
    is_cache_synced: Callable[[], bool]
    may_cache_lack: Callable[[str], bool]
    desk: JobDesk

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one request.

        Raises:
            Problem: it is not carried out.
            ClusterError: the API server does not answer as it should.
        """
        entry = request[KEY_ENTRY]
        command = request[COMMAND] = await self._understand(request, entry)
        try:
            reply = await self.desk.carry_out(command, self._find_diemjob(command, entry), entry)
        except UnknownJob:
            if entry.compatibility.status_codes is StatusCodes.LEGACY:
                return build_legacy_unknown_job(command)
            raise
        if command.wait_seconds:
            self.authenticator.identify_again(request)  # a key that was revoked meanwhile learns nothing more
        return build_answer(command, reply)

    async def _understand(self, request: web.Request, entry: KeyEntry) -> Command:
        body = await read_object(
            request,
            max_bytes=self.settings.max_body_bytes,
            timeout_seconds=self.settings.body_timeout_seconds,
        )
        return parse_command(
            body,
            query=request.query,
            idempotency_keys=request.headers.getall(IDEMPOTENCY_KEY, []),
            missing_action=entry.missing_action,
            max_wait_seconds=self.settings.max_wait_seconds,
        )

    def _find_diemjob(self, command: Command, entry: KeyEntry) -> DiemJob:
        reference = find_reference(entry, command.job_id)
        may_lack_it = reference is not None and self.may_cache_lack(reference.namespace)
        if may_lack_it or not self.is_cache_synced():
            raise Problem(ProblemKind.NOT_READY, "the jobs are not known at the moment; try again in a few seconds")
        found = authorize(entry, action=command.action, job_id=command.job_id, find=self.cache.find)
        if found.answer is Answer.ACTION_FORBIDDEN:
            raise Problem(ProblemKind.ACTION_FORBIDDEN, f"this key may not be used for {command.action.value!r}")
        if found.answer is Answer.AMBIGUOUS_ID:
            raise Problem(ProblemKind.AMBIGUOUS_ID, "several jobs have this id; use the name of the one you mean")
        if found.diemjob is None:
            raise UnknownJob
        return found.diemjob
