"""A scripted chat completions endpoint."""

import http.server
import json
import threading
import time

USAGE = {"prompt_tokens": 150, "completion_tokens": 200}
# More tokens than the budget of a minute.
FILL = 3_000_000


class Model:
    """Answers according to a word in the prompt, after a fixed time.

    The times lie in the middle of a histogram bucket, so that a slow machine changes no number."""

    def __init__(self):
        model = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status, answer = model.answer(asked["messages"][-1]["content"])
                body = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, prompt):
        # Two tries take as long as one.
        twice = "unreachable" in prompt or "gibberish" in prompt
        time.sleep(0.6 if twice else 11 if "slowly" in prompt else 1.2)
        if "unreachable" in prompt:
            return 500, {"error": {"message": "no"}}
        usage = dict(USAGE)
        plan = {"intent": "send_email", "notes": None, "actions": [], "questions": ["To whom?"], "confidence": 0.9}
        if "ask back" not in prompt:
            params = {"to": ["john@example.com"], "subject": "Thanks", "text": "Thanks."}
            params |= {"html": None, "cc": None, "bcc": None, "reply_to": None}
            plan["actions"] = [{"provider": "google", "action": "gmail.send", "params": params}]
            plan["questions"] = []
        if "spend it all" in prompt:
            usage["prompt_tokens"] = FILL
        content = "no plan" if "gibberish" in prompt else json.dumps(plan)
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": content}}
        return 200, {"object": "chat.completion", "choices": [choice], "usage": usage}

    def stop(self):
        self.server.shutdown()
