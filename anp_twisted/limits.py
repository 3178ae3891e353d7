"""
Every cap of the project in one frozen value: bytes, counts and seconds.

A cap that is not here does not exist. Each default says why it is what it is.
"""

from __future__ import annotations

from dataclasses import dataclass

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """
    The caps that one process works under.

    Sizes are bytes and times are seconds unless a name says otherwise.
    """

    # --- the wire -------------------------------------------------------
    frame: int = 1 * MIB
    """One frame, header included: the most a peer can make us hold before we look at it."""
    head: int = 64 * KIB
    """The JSON of one request or response head: four times what the public front lets in."""
    headers: int = 128
    """Header fields in one head: the public front takes 100, the tunnel may add a few."""
    frame_fields: int = 16
    """TLV fields in one frame: the format knows two per frame, the rest is room to grow."""
    reason: int = 1 * KIB
    """The public text of a RESET or GOAWAY."""

    # --- the session ----------------------------------------------------
    streams: int = 1024
    """Open streams of one connection, whatever a peer advertises."""
    stream_window: int = 160 * KIB
    """
    Credit of one stream. With what a socket buffer holds besides, a caller who
    reads nothing costs the gateway less than 256 KiB.
    """
    connection_window: int = 4 * MIB
    """
    Least credit of one connection. L{connection_credit} raises it to what all
    admitted streams can hold, so that stalled streams never starve a lively one.
    """
    data: int = 64 * KIB
    """Body bytes in one frame: no control frame waits behind more than this."""
    stream_backlog: int = 64 * KIB
    """Unsent bytes of one stream above which its producer is asked to pause."""
    control_backlog: int = 4096
    """Unsent control frames of one connection: a peer that makes us owe more reads nothing."""
    informational: int = 16
    """Heads below 200 on one stream: they need no credit, so their number must be bounded."""
    offences: int = 3
    """Frames for streams a peer has no right to that are ignored before the link is closed."""
    remembered_streams: int = 4096
    """Recently ended streams whose late frames are dropped in silence."""

    # --- the link -------------------------------------------------------
    handshake: float = 10.0
    """From TCP connect to HELLO: a peer that is slower is gone or hostile."""
    ping_after: float = 10.0
    """Silence after which a PING is sent: well under the 60 s of common proxies."""
    dead_after: float = 25.0
    """Silence after which a link is dead: two pings were lost, and it is under 30 s."""
    reconnect_first: float = 0.5
    """Upper bound of the first random delay before a new attempt."""
    reconnect_most: float = 15.0
    """Upper bound of every later one: a restarted gateway has its receivers back within 20 s."""
    healthy_after: float = 10.0
    """A link must live this long before a later loss counts as the first again."""
    links: int = 16
    """Links of one process: with one a core there is nothing more to win."""
    proxy: float = 8.0
    """From TCP connect to the answer of a proxy: under L{handshake}, so that its name is in the reason."""
    proxy_head: int = 8 * KIB
    """The head of that answer; proxies send a few fields."""
    websocket_fragments: int = 64
    """WebSocket fragments of one ANPX message; our own peers send one."""
    websocket_controls: int = 64
    """WebSocket PINGs and PONGs within L{ping_after}; our own peers send none."""
    websocket_message: int = 16 * MIB
    """One message of a caller's WebSocket, joined and decompressed: what common servers take."""
    websocket_parts: int = 16 * KIB
    """Fragments of one such message: its largest in pieces of 1 KiB; empty ones must have an end."""
    websocket_pings: int = 100
    """PINGs and PONGs of a caller within L{websocket_ping_after}: five a second."""
    websocket_ping_after: float = 20.0
    """Silence of a caller's WebSocket after which it is asked: well under the 60 s of common proxies."""
    websocket_dead_after: float = 60.0
    """Silence after which its caller is gone: two questions were not answered."""
    closing: float = 5.0
    """From our WebSocket close to the end of the socket: time for what was sent before it to arrive."""

    # --- identity ---------------------------------------------------------
    authentications: int = 256
    """Proofs of identity being judged at once: each may hold a connection while a key is fetched."""
    proof_age: float = 300.0
    """How old a signed proof may be: clocks of small machines are minutes off, and the replay memory covers it."""
    proof_ahead: float = 60.0
    """How far the clock of its maker may be ahead: less, since such a proof is remembered longer."""
    proofs_remembered: int = 1_000_000
    """Used proofs remembered at once, about 100 bytes each; beyond, nobody gets in until some have expired."""
    did_timeout: float = 5.0
    """For a DID document, from its name to its last byte: its maker waits, and so does the handshake."""
    did_document: int = MIB
    """A DID document: real ones have a few KiB."""
    did_cache: float = 300.0
    """Seconds for which a DID document is not asked for again: a key that is withdrawn works for so long."""
    did_negative_cache: float = 30.0
    """Seconds for which a failure is believed: its owner is waiting for it to be mended."""
    did_cache_bytes: int = 16 * MIB
    """DID documents kept, some thousand real ones."""
    did_fetches: int = 10
    """DIDs that one peer may have fetched within a second: each is a request that it makes us send."""
    replay_timeout: float = 1.0
    """For a connection to a replay memory elsewhere, and for each answer: those who wait give up soon after."""

    # --- the registry -----------------------------------------------------
    registry_poll: float = 1.0
    """Between two looks for changes: one row is read, and what was revoked elsewhere is at most this old."""
    registry_patience: float = 1.0
    """For the database to say who somebody new is; then nobody knows, and he stays out."""
    registry_gap: float = 0.1
    """Between two looks that unknown tokens cause: strangers must not make the database busy."""
    registry_reread: float = 300.0
    """After which all of it is read again, since other programs may change a table and leave no trace."""
    registered_places: int = 1024
    """Places of one receiver that the registry says it has: each costs a little at each of its requests."""

    # --- peers of version 1 -----------------------------------------------
    v1_frame: int = 16 * MIB
    """One message of such a peer: it sends an answer whole, and a known gateway takes as much."""
    v1_part: int = 1 * MIB
    """One frame to such a peer: the common WebSocket library of receivers takes no more; larger answers are cut."""
    v1_request_chunks: int = 1
    """Frames of one request: most receivers take only whole ones, and one is deaf after the first chunk."""
    v1_answer: int = 16 * MIB
    """An answer of untold length, which must be held until it ends: each of its chunks says how many there are."""
    v1_meta: int = 256 * KIB
    """The JSON of a request or response: L{head} twice, and escapes."""
    v1_unread: int = 16 * MIB
    """Bytes of one message that its consumer has not taken; nothing in version 1 could make the peer wait."""
    v1_held: int = 64 * MIB
    """The same for all messages of a connection."""
    v1_chunks: int = 64 * KIB
    """Chunks of one message: 64 GiB in common ones; empty ones must have an end."""
    v1_assemblies: int = 256
    """Messages of one connection that have begun to come in chunks."""
    v1_assembly: float = 30.0
    """A message in chunks that stopped growing; the next chunk of a live one is there in seconds."""
    v1_capacity: int = 1
    """Requests at once: such receivers take the next one when they have answered."""
    v1_beat: float = 10.0
    """Between two JSON pings: one known gateway gives up after 20 s without, another after 300."""
    v1_text: int = 64 * KIB
    """One text message; theirs have some hundred bytes."""

    # --- the balance ----------------------------------------------------
    in_flight: int = 100
    """Requests one receiver works on at once, unless it advertises less."""
    parked: int = 1024
    """Requests of the whole gateway that wait for a receiver."""
    dispatches: int = 4
    """Receivers that one request is asked of, one after the other: with each that fails, more would only fail, too."""
    routes_per_receiver: int = 64
    """Path prefixes one receiver may announce."""
    receivers: int = 10_000
    """Receivers of one gateway."""

    route_memory: float = 60.0
    """A path whose last receiver left answers 503 this long, and 404 afterwards."""

    # --- the time budgets of a request -----------------------------------
    connect_budget: float = 5.0
    """Waiting for a receiver with room: longer than a reconnect, shorter than patience."""
    first_byte_budget: float = 300.0
    """From the request to the first byte of the answer: language models think for minutes."""
    idle_budget: float = 120.0
    """Between two bytes of an answer while the caller could take more."""
    total_budget: float = 0.0
    """The whole request; 0 is no limit, since a stream of events may last for days."""

    # --- callers ---------------------------------------------------------
    rate_buckets: int = 65_536
    """Callers that one rate limit remembers, about 200 bytes each; beyond, those let in longest ago are forgotten."""

    # --- the public HTTP front -------------------------------------------
    target: int = 8 * KIB
    """The request target: what common servers and caches take."""
    field: int = 8 * KIB
    """One header field, name and value: room for large cookies and tokens."""
    fields: int = 100
    """Header fields of one request."""
    request_head: int = 16 * KIB
    """The whole head of a request."""
    body: int = 1024 * MIB
    """The body of a request: it is never stored, so the cap is about time, not space."""
    head_timeout: float = 10.0
    """From the first byte of a request to the end of its head, however it trickles."""
    body_timeout: float = 30.0
    """For the next L{body_progress} bytes of a body while we are reading: a mobile network is back sooner."""
    body_progress: int = 1 * KIB
    """What must come of a body within L{body_timeout}: a byte now and then would hold a place for ever."""
    write_timeout: float = 60.0
    """A response that the caller takes nothing of."""
    unsent: int = 256 * KIB
    """What the kernel holds of an answer that its caller has no room for; a fast link empties it in milliseconds."""
    keep_alive: float = 75.0
    """Between two requests: above the 60 s at which common balancers reuse a connection."""
    pipelined: int = 16 * KIB
    """Unread bytes of one connection behind the request being answered; with more, its socket waits."""
    connections: int = 10_000
    """Open public connections."""
    connections_per_address: int = 1_000
    """
    Those of one address, or of one /64 of IPv6, which is what one customer gets: an
    office behind one address needs fewer, and ten addresses are not many to attack with.
    """
    patience: float = 2.0
    """
    With every receiver busy, a caller who has held up an exchange this long gives way
    to another: before those who wait for it have waited for L{connect_budget}.
    """
    linger: float = 2.0
    """Reading on after an early answer, so that the caller can read it before the reset."""
    linger_bytes: int = 16 * MIB
    """What is read and dropped meanwhile: more than the socket buffers on both sides hold."""

    # --- the application --------------------------------------------------
    cancel_grace: float = 5.0
    """From C{http.disconnect} to the cancellation of the application's task."""
    startup: float = 60.0
    """For the application's C{lifespan.startup}."""
    shutdown: float = 20.0
    """For the application's C{lifespan.shutdown}."""
    calls: int = 2048
    """
    Running calls of the application, counting those whose caller has left or was
    answered: twice the streams, so that only an application that does not end is refused more.
    """
    body_pieces: int = 64
    """Pieces of one request body kept apart until the application takes them; more are joined."""

    # --- the processes of a receiver ------------------------------------------
    loop_look: float = 0.2
    """Between two looks at the event loop: five a second cost nothing that can be measured."""
    loop_lag: float = 1.0
    """An event loop that stood still for so long is warned of: every request of the process waited."""
    lag_quiet: float = 10.0
    """Between two such warnings; a loop that is blocked all the time does not fill the log."""

    # --- overload -------------------------------------------------------------
    overload_requests: int = 8_000
    """
    Requests running and waiting above which new ones are turned away; 0 is no mark.
    Below L{connections}, so that there is a connection left on which to say so.
    """
    overload_lag: float = 1.0
    """
    Seconds the event loop comes late, twice in a row, above which new requests are
    turned away; 0 is no mark. Every answer is late by as much; less than this is what
    a busy machine does to everybody, and one such stop alone is an accident, not load.
    """
    overload_memory: int = 0
    """Memory of the process, in bytes, above which new requests are turned away; 0 is L{overload_memory_share}."""
    overload_memory_share: float = 0.8
    """The same as a part of what the machine or the control group has: the kernel kills at the whole of it."""
    overload_descriptors_share: float = 0.85
    """
    The part of RLIMIT_NOFILE, less L{descriptors_kept}, above which new requests are
    turned away and idle connections closed. The rest is for those who hear so.
    """
    overload_low: float = 0.8
    """The part of each mark below which requests are taken again: less would waste, more would flutter."""
    overload_look: float = 0.1
    """Between two looks: short beside the seconds an overload lasts, and ten of them cost less than a request."""
    overload_calm: float = 2.0
    """Without turning anybody away, after which an overload is over: one line in the log, not one a second."""
    overload_retry: float = 5.0
    """C{Retry-After} of those turned away: what took the room has ended or was cut by then."""
    descriptors_kept: int = 64
    """
    Descriptors that no caller gets: one turn of the event loop accepts what the
    kernel's queue holds, 50, and the log, the operator and a resolver need some.
    """
    idle_when_short: float = 1.0
    """An idle connection is closed after this long while descriptors are short: callers open another one."""

    # --- worker processes ----------------------------------------------------
    workers: int = 64
    """Worker processes of one gateway: more than the cores of most machines."""
    worker_restart_first: float = 0.5
    """Upper bound of the first random delay before a worker that died is replaced."""
    worker_restart_most: float = 30.0
    """Upper bound of every later one: what crashes at each start costs little."""
    worker_healthy_after: float = 10.0
    """A worker must serve this long before its end counts as the first again."""
    worker_look: float = 0.1
    """Between two looks for workers that have ended."""
    worker_margin: float = 3.0
    """Beyond the time that a worker has to stop, or after it was told to hurry: then it is killed."""
    worker_line: int = 64 * KIB
    """One line that a worker reports or prints; longer ones are cut."""
    worker_figures: float = 1.0
    """For the figures of all workers: one that is busy for longer is left out of the page."""

    # --- what requests are passed to -------------------------------------------
    target_connections: int = 256
    """Open connections to one target: more than one receiver has requests, so that it bounds only WebSockets."""
    target_connect: float = 5.0
    """For a connection to a target, or for the turn to have one: it is a neighbour, or it is not there."""
    target_silence: float = 300.0
    """A target that says nothing while it is its turn: as long as a caller waits for a first byte."""
    target_rest: float = 4.0
    """A connection to a target without request: common servers close theirs after 5 s."""
    target_trust: float = 1.0
    """A connection that rested longer is not used for a request that must not be sent twice."""
    target_continue: float = 1.0
    """For a target's word that it wants a body (C{Expect: 100-continue}); many never say it."""
    target_watch: float = 0.01
    """Until the caller of a request that is all here is watched for its leaving: most answers are there before."""
    target_head: int = 32 * KIB
    """The head of a target's answer: the tunnel takes twice that, as JSON."""
    wsgi_threads: int = 16
    """Threads for one WSGI application, each busy with one request from its start to its end."""

    # --- chat channels ---------------------------------------------------------
    inbound_waiting: int = 1_000
    """Messages of all channels that wait for the assistant: minutes of work; with more, the channels are told so."""
    inbound_per_chat: int = 20
    """Those of one chat: somebody who writes faster than he is answered."""
    inbound_at_once: int = 16
    """Chats that are answered at the same time."""
    inbound_remembered: int = 10_000
    """Ids of messages that were taken: a service that sends one again does so within minutes."""
    inbound_text: int = 256 * KIB
    """The text of one message from a channel; services allow a tenth of it."""
    inbound_media: int = 16
    """Attachments of one such message, of which only the description is kept."""
    outbox: int = 1_000
    """Messages that one channel account has still to send."""
    outbox_per_chat: int = 100
    """Those of one chat: a long answer in pieces is some ten."""
    outbox_age: float = 24 * 3600.0
    """A message that could not be sent for so long answers a question that nobody remembers."""
    outbox_pause_first: float = 1.0
    """Upper bound of the first random pause before a message is tried again."""
    outbox_pause_most: float = 300.0
    """Upper bound of every later one: a service that was away for hours is not asked more often."""
    outbox_remembered: int = 1_000
    """Ids of messages that were done with, so that none is put twice."""
    outbox_rewrite: int = 4 * MIB
    """The size from which on the file of an outbox is written anew without what was done with."""
    channel_start: float = 60.0
    """For a channel to connect; some services let a client wait for half a minute."""
    channel_stop: float = 10.0
    """For a channel to disconnect, and for what it was sending; then its tasks are cancelled."""
    channel_send: float = 60.0
    """For one message to be confirmed: longer than any service takes that will confirm it at all."""
    channel_pause_first: float = 1.0
    """Upper bound of the first random pause before a channel is started again."""
    channel_pause_most: float = 300.0
    """Upper bound of every later one."""
    channel_healthy_after: float = 60.0
    """A channel must run this long before a later failure counts as the first again."""
    link_lifetime: float = 600.0
    """For a one-time link to be opened: it is made when somebody sits before the screen."""
    login_links: int = 100
    """One-time links that nobody opened yet; beyond, the oldest are forgotten."""
    pairings: int = 16
    """Requests of strangers that wait for each channel; with more, strangers are told nothing."""
    pairing_lifetime: float = 3600.0
    """For the operator to approve a request: he is asked on another way, and may be at lunch."""
    pairing_quiet: float = 600.0
    """Between two answers to a stranger who writes on: his code is in the chat above."""

    # --- agents ----------------------------------------------------------------
    agent_runs: int = 256
    """Turns that agents work on at once, those that are still being closed included: more models answer nobody."""
    agent_text: int = 1 * MIB
    """Characters of one answer: a book is half of it."""
    agent_events: int = 100_000
    """Things an agent may say in one turn: its longest answer in pieces of ten characters."""
    agent_tools: int = 256
    """Calls of tools in one turn: an agent that makes more goes round in circles."""
    agent_tool_text: int = 64 * KIB
    """Characters of the arguments or the result of one such call that are passed on; the rest is cut off."""
    agent_first: float = 120.0
    """For the first thing an agent says: a large model on a busy machine thinks so long."""
    agent_idle: float = 120.0
    """Between two things it says."""
    agent_total: float = 900.0
    """For a whole turn."""
    agent_fast: float = 20.0
    """For a whole turn in the mode C{fast}: somebody waits with the telephone in his hand."""
    agent_close: float = 2.0
    """For an agent to end after it was told to; then it is left behind, and what it says is heard by nobody."""
    agent_children: int = 4
    """Parts that a turn is divided into in the mode C{multi}."""
    agent_child: float = 180.0
    """For the plan, and for each part."""
    agent_child_text: int = 16 * KIB
    """Characters of a part's answer that go into the whole: four of them fit into what models read."""
    agent_attempts: int = 3
    """Requests to a model's server for one turn, while nothing has come of an answer."""
    agent_retry_first: float = 0.5
    """Before the second; twice that before each further one."""
    agent_retry_most: float = 10.0
    """The longest pause that a model's server may ask for; with a longer one, the turn fails and says so."""
    agent_connect: float = 10.0
    """For a connection to a model's server."""
    agent_backlog: int = 256 * KIB
    """Unread bytes of an answer above which nothing more is read from where it comes."""
    agent_answer: int = 64 * MIB
    """Bytes of the answer of a model's server, with all that is wrapped around its text."""
    agent_line: int = 1 * MIB
    """One line of an answer: of a stream of events, or of a program."""
    agent_complaint: int = 4 * KIB
    """The end of what a program wrote to standard error, for the log."""
    agent_look: float = 0.05
    """Between two looks for programs that have ended, behind the end of their output."""
    agent_kill: float = 1.0
    """From SIGTERM to SIGKILL for a program, within L{agent_close}."""

    completion_comment: float = 15.0
    """Silence of a stream of C{/v1} after which a line that means nothing is sent: proxies wait a minute at most."""

    # --- the assistant ---------------------------------------------------------
    assistant_connections: int = 1_000
    """Open WebSockets of one assistant gateway: a personal assistant has tens."""
    assistant_connections_per_address: int = 200
    """Those of one address, or of one /64 of IPv6: an office, or everybody behind one tunnel."""
    assistant_connections_per_principal: int = 100
    """Those of one principal: the devices and programs of one person."""
    assistant_message: int = 1 * MIB
    """One message of a client."""
    assistant_stranger_message: int = 64 * KIB
    """One message of a client that has not said who it is: a token, and room for names."""
    assistant_stranger: float = 10.0
    """From the handshake until a client must have said who it is."""
    assistant_heartbeat: float = 30.0
    """Silence of a client after which it is asked whether it is there; after twice as long it is gone."""
    assistant_in_flight: int = 32
    """Calls of one connection without an answer: with more, its socket is not read."""
    assistant_batch: int = 50
    """Calls in one batch."""
    assistant_refusals: int = 200
    """Messages beyond the rate in a row, after which the connection is closed: an answer to each is work, too."""
    assistant_outbound: int = 1 * MIB
    """What one connection keeps for a client that takes nothing; beyond, its subscriptions end."""
    assistant_patience: float = 10.0
    """From the end of its subscriptions to the close of a connection that still takes nothing."""
    assistant_feeds: int = 100
    """Sessions that one connection is told of."""
    assistant_page: int = 100
    """Records that are read at once for a subscriber who catches up."""
    assistant_page_bytes: int = 512 * KIB
    """Bytes of records in one page, at least one record."""
    assistant_sessions: int = 100_000
    """Sessions of one gateway, about 1 KiB each."""
    assistant_open_sessions: int = 1_000
    """Sessions whose index is kept in memory, 8 bytes a record, besides those that are in use."""
    assistant_waiting_runs: int = 16
    """Messages of one session whose answer has not begun."""
    assistant_unwritten: int = 64 * MIB
    """Bytes that wait for the disk; beyond, nothing more is taken."""
    assistant_key_memory: float = 86_400.0
    """How long an idempotency key is remembered."""
    assistant_keys: int = 10_000
    """Idempotency keys of one session."""
    assistant_history: int = 200
    """Messages that an agent is handed of what was said before."""
    assistant_history_bytes: int = 512 * KIB
    """Bytes of records that are read for that."""
    assistant_tokens: int = 1_000
    """Tokens of one gateway."""
    assistant_token_overlap: float = 3_600.0
    """How long the secret before still works after a rotation: time to carry the new one everywhere."""

    # --- stopping -----------------------------------------------------------
    drain: float = 30.0
    """From SIGTERM to the end of what is still running."""
    farewell: float = 2.0
    """From SIGTERM until WebSockets are closed, which end by themselves rarely: enough for a last answer."""

    def connection_credit(self, streams: int) -> int:
        """
        The credit a connection needs so that C{streams} stalled ones cannot stop another.

        @param streams: how many streams the peer will have open at most.
        @return: bytes.
        """
        return max(self.connection_window, (streams + 1) * self.stream_window)


DEFAULT_LIMITS = Limits()
