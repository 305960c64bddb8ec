"""Checks the bodies of every request that the program makes of a provider, and of what the stand-ins answer, by the providers' own
descriptions: mails, drafts, events, and what lookups read. The program runs with accounts at the strict stand-ins.

usage: bodies.py PROGRAM FAKES GOOGLE_API_WHEEL MSGRAPH_WHEEL
"""

import datetime
import sys
from collections import Counter
from pathlib import Path

from check import Fakes, Model, Program, call
from descriptions import Google, Graph

from processes import until

GOOGLE = "https://www.googleapis.com/auth/"
SEND_ONLY = {"google": [f"{GOOGLE}gmail.send"], "microsoft": ["Mail.Send"]}
EVERYTHING = {
    "google": [
        GOOGLE + scope
        for scope in (
            "gmail.send",
            "gmail.compose",
            "calendar.events.owned",
            "calendar.events.readonly",
            "calendar.freebusy",
            "contacts.readonly",
            "directory.readonly",
        )
    ],
    "microsoft": ["Mail.Send", "Mail.ReadWrite", "Calendars.ReadWrite", "Contacts.Read", "User.ReadBasic.All"],
}
# The operations of which there is an exchange. `people.searchContacts` and so on are the stand-ins' names.
OPERATIONS = {
    *("gmail.messages.send", "gmail.drafts.create", "gmail.drafts.send"),
    *("calendar.events.insert", "calendar.events.get", "calendar.events.list", "calendar.freebusy.query"),
    *("people.searchContacts", "people.searchDirectoryPeople"),
    *("graph.sendMail", "graph.messages.create", "graph.messages.get", "graph.messages.send"),
    *("graph.events.create", "graph.calendarView", "graph.contacts", "graph.users"),
}
MAIL = {"to": "ana@example.com", "subject": "Plans", "text": "Shall we meet?"}
MAILS = [
    MAIL,
    {
        **MAIL,
        "to": ["Zoë Groß <zoe@example.com>", "bo@example.com"],
        "cc": "cy@example.com",
        "bcc": ["dee@example.com"],
        "reply_to": "desk@example.com",
        "subject": "Grüße 🎉 " + "long " * 40,
        "text": "Zeile eins\nline two\n.",
        "html": "<p>Zeile <b>eins</b></p>",
    },
    {**MAIL, "in_reply_to": "<1@example.com>", "references": ["<0@example.com>", "<1@example.com>"], "html": "<p>Yes</p>"},
]
EVENT = {"title": "Review", "start": "2027-05-04T10:00", "minutes": 30, "time_zone": "Europe/Berlin"}
EVENTS = [
    EVENT,
    {
        **EVENT,
        "title": "Grüße 🎉",
        "attendees": ["Zoë Groß <zoe@example.com>", "bo@example.com"],
        "location": "Saal 4, 2. OG",
        "text": "Erste Zeile\nsecond line",
    },
    # It ends at a time that the clocks show twice.
    {**EVENT, "start": "2027-10-31T01:30", "minutes": 60, "attendees": "ana@example.com"},
    {**EVENT, "minutes": None, "end": "2027-05-05T10:00", "time_zone": "America/New_York"},
]
SILENT = {**EVENT, "attendees": ["ana@example.com"], "notify": "none"}
OWN = {"primary": True, "source": {"type": "CONTACT", "id": "1"}}
TOMORROW = (datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=1)).date()


def person(name, address):
    names = [{"metadata": OWN, "displayName": name}]
    return {"resourceName": "people/1", "names": names, "emailAddresses": [{"metadata": OWN, "value": address}]}


def holdings(provider):
    """An account with a Sam, somebody of its directory, and a meeting tomorrow at ten."""
    if provider == "google":
        [start, end] = [{"dateTime": f"{TOMORROW}T{hour}:00:00Z"} for hour in (10, 11)]
        guests = [{"email": "ana@example.com", "responseStatus": "accepted"}, {"email": "bo@example.com"}]
        event = {"id": "e1", "status": "confirmed", "summary": "Plans", "start": start, "end": end, "organizer": {"self": True}}
        directory = person("Sam Lee", "lee@example.com")
        profile = {"primary": True, "source": {"type": "DOMAIN_PROFILE", "id": "2"}}
        directory["names"][0]["metadata"] = directory["emailAddresses"][0]["metadata"] = profile
        return {"contacts": [person("Sam", "sam@example.com")], "directory": [directory], "events": [{**event, "attendees": guests}]}
    [start, end] = [{"dateTime": f"{TOMORROW}T{hour}:00:00.0000000", "timeZone": "UTC"} for hour in (10, 11)]
    guests = [
        {"type": "required", "status": {"response": "accepted"}, "emailAddress": {"address": f"{name}@example.com", "name": name}}
        for name in ("ana", "bo")
    ]
    event = {"id": "e1", "subject": "Plans", "start": start, "end": end, "isOrganizer": True, "showAs": "busy", "attendees": guests}
    return {
        "contacts": [{"id": "c1", "displayName": "Sam", "emailAddresses": [{"address": "sam@example.com", "name": "Sam"}]}],
        "directory": [{"id": "u1", "displayName": "Sam Lee", "mail": "lee@example.com", "userPrincipalName": "lee@example.com"}],
        "events": [event],
    }


class World:
    """The stand-ins, and a program with accounts there."""

    def __init__(self, program, fakes):
        self.program, self.model = program, Model()
        self.fakes = Fakes(fakes)

    def start(self, scopes):
        variables = {}
        for provider, granted in scopes.items():
            token = {"token": f"t-{provider}", "provider": provider, "scopes": granted, "address": "me@example.com"}
            self.fakes.tell("tokens", token)
            variables |= {
                f"{provider.upper()}_ACCESS_TOKEN": token["token"],
                f"{provider.upper()}_ACCESS_TOKEN_SCOPES": " ".join(granted),
            }
        return Program(self.program, self.model.url, **self.fakes.variables, **variables)


def done(program, body):
    """Executes, and waits until every job is completed."""
    status, _, accepted = program.post("/ai/execute", body)
    assert status == 202, f"{accepted}: {body}"
    for job in accepted["job_ids"]:
        ended = until(f"job {job} ends", lambda job=job: (got := call(f"{program.url}/ai/jobs/{job}?wait=20")[2])["finished_at"] and got)
        assert ended["status"] == "completed", f"{ended}: {body}"


def actions(scopes):
    """Every action with params of every shape, as far as these scopes allow."""
    kinds = {"google": ("gmail", "calendar"), "microsoft": ("outlook", "outlook")}
    for provider, (mail, calendar) in kinds.items():
        several = len(scopes[provider]) > 1
        for number, params in enumerate(MAILS):
            for verb in ("send", "draft") if several else ("send",):
                yield {"action": f"{mail}.{verb}", "params": params, "client_request_id": f"{mail}.{verb}-{several}-{number}"}
        silent = [SILENT] if provider == "google" else []
        for number, params in enumerate([*EVENTS, *silent] if several else []):
            yield {"action": f"{calendar}.create_event", "params": params, "client_request_id": f"{calendar}-{number}"}


def planned(program, model, provider):
    """An invitation of somebody who is looked up, at a free time; and a mail to everyone in a meeting."""
    mail, calendar = ("gmail", "calendar") if provider == "google" else ("outlook", "outlook")
    free = {"id": "l1", "find": "free_time", "day": str(TOMORROW), "minutes": 30, "from": None, "to": None}
    sam = {"id": "l2", "find": "contact", "name": "Sam"}
    event = {"id": "l1", "find": "event", "day": str(TOMORROW), "at": "10:00", "title": None}
    attendees, start = [{"$ref": "l2.address"}], {"$ref": "l1.start"}
    invite = {**EVENT, "title": "Catch-up", "start": start, "end": None, "time_zone": "UTC", "attendees": attendees}
    tell = {"to": {"$ref": "l1.attendees"}, "subject": "Later", "text": "It moves to 11."}
    for prompt, lookups, action, params in [
        ("Invite Sam tomorrow, when I am free", [free, sam], f"{calendar}.create_event", invite),
        ("Tell everyone in tomorrow's 10:00 meeting that it moves to 11", [event], f"{mail}.send", tell),
    ]:
        step = {"provider": provider, "action": action, "params": params}
        model.plan = {"intent": "x", "notes": None, "lookups": lookups, "actions": [step], "questions": [], "confidence": 1}
        status, _, reply = program.post("/ai/plan2", {"prompt": prompt, "timezone": "UTC"})
        assert status == 200 and reply["plan"]["status"] == "unresolved", reply
        status, _, reply = program.post(f"/ai/plans/{reply['plan']['plan_id']}/resolve", {"answers": []})
        assert status == 200 and reply["plan"]["actions"] and reply["plan"]["status"] == "ready", reply
        done(program, {"plan_id": reply["plan"]["plan_id"]})


def main():
    program, fakes, google, graph = (str(Path(argument).resolve()) for argument in sys.argv[1:])
    documents = {"graph": Graph(graph)}
    world = World(program, fakes)
    for provider in EVERYTHING:
        world.fakes.tell("holdings", {"provider": provider, **holdings(provider)})
    try:
        for scopes in (SEND_ONLY, EVERYTHING):
            running = world.start(scopes)
            # A lost answer makes the program look for what it made.
            faults = [{"fault": "accept-then-close", "on": on} for on in ("calendar.events.insert", "graph.events.create")]
            world.fakes.tell("faults", {"next": faults if scopes is EVERYTHING else []})
            for action in actions(scopes):
                done(running, {"actor_id": "me@example.com", "actions": [action]})
            for provider in EVERYTHING if scopes is EVERYTHING else ():
                planned(running, world.model, provider)
            running.end()
        exchanges = call(f"{world.fakes.url}/_fakes/exchanges")[2]
    finally:
        world.fakes.end()
    counts, tried = Counter(), Counter()
    others = Google(google)
    for exchange in exchanges:
        operation, document = exchange["operation"], documents.get(exchange["operation"].split(".")[0], others)
        document.check(exchange)
        counts[operation] += 1
        shape = (operation, type(exchange["request"]), type(exchange["answer"]))
        if exchange["status"] < 300 and not tried[shape]:
            document.refuses(exchange)
            tried[shape] += 1
    assert set(counts) == OPERATIONS, f"other operations than expected: {OPERATIONS ^ set(counts)}"
    print(f"{sum(counts.values())} requests and answers are valid by the providers' own documents:")
    print("\n".join(f"{count:5} {operation}" for operation, count in sorted(counts.items())))


if __name__ == "__main__":
    main()
