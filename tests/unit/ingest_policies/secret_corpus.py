"""Made-up secrets, put together when asked for, so that no scanner of repositories takes one for a live one.

`POSITIVES` are a kind, and a text in which `{…}` is filled at random; everything between `<<` and `>>` is what must go.
Forms are those that the issuers document. `NEGATIVES` are texts like those that models and their tools write.
"""

from __future__ import annotations

import random
import re
import string

_ALPHABETS = {
    "upper": string.ascii_uppercase + string.digits,
    "alnum": string.ascii_letters + string.digits,
    "url": string.ascii_letters + string.digits + "-_",
    "base64": string.ascii_letters + string.digits + "+/",
    "hex": "0123456789abcdef",
    "digit": string.digits,
}
POSITIVES = [
    ("aws_key", "key <<AKIA{upper16}>> of the account"),
    ("aws_key", '{"id":"<<ASIA{upper16}>>"}'),
    ("github_token", "git clone with <<ghp_{alnum36}>>"),
    ("github_token", "<<ghs_{alnum36}>>"),
    ("github_token", "token: <<github_pat_{alnum22}_{alnum59}>>."),
    ("gitlab_token", "PRIVATE-TOKEN: <<glpat-{url20}>>"),
    ("slack_token", "<<xoxb-{digit12}-{digit12}-{alnum24}>>"),
    ("slack_token", "https://hooks.slack.com/services/<<T{upper8}/B{upper8}/{alnum24}>>"),
    ("model_key", "use <<sk-{alnum48}>>"),
    ("model_key", "use <<sk-proj-{url40}>>"),
    ("model_key", "(<<sk-ant-api03-{url40}>>)"),
    ("model_key", "<<gsk_{alnum52}>>"),
    ("payment_key", "<<sk_live_{alnum24}>>"),
    ("payment_key", "<<rk_test_{alnum24}>>"),
    ("payment_key", "<<whsec_{alnum32}>>"),
    ("google_key", "https://maps.example/?v=1,<<AIza{url35}>>"),
    ("google_key", "<<ya29.{url40}>>"),
    ("service_token", "<<hf_{alnum34}>>"),
    ("service_token", "<<npm_{alnum36}>>"),
    ("service_token", "<<pypi-{url60}>>"),
    ("service_token", "<<hvs.{url28}>>"),
    ("service_token", "<<SG.{url22}.{url43}>>"),
    ("service_token", "<<glsa_{alnum32}>>"),
    ("service_token", "<<dop_v1_{hex64}>>"),
    ("service_token", "<<shpat_{hex32}>>"),
    ("service_token", "<<dapi{hex32}>>"),
    ("service_token", "<<AGE-SECRET-KEY-1{upper58}>>"),
    ("service_token", "our own: <<av_{hex12}_{url43}>>"),
    ("jwt", "session <<eyJhbGciOiJIUzI1NiJ9.eyJ{url40}.{url43}>>"),
    ("jwt", "encrypted <<eyJ{url40}.{url40}.{url16}.{url60}.{url22}>>"),
    ("bearer_token", "Authorization: Bearer <<{alnum32}>>"),
    ("bearer_token", '{"authorization":"bearer <<{base6440}7a==>>"}'),
    ("bearer_token", "-H 'Authorization: Basic <<{alnum30}7a==>>'"),
    ("url_password", "postgres://app:<<{alnum12}>>@db.example:5432/app"),
    ("url_password", "mongodb+srv://app:<<p@ss{alnum6}>>@cluster.example/"),
    ("url_password", "redis://:<<{alnum16}>>@127.0.0.1:6379/0"),
    ("url_password", '{"url":"https://user:<<{alnum10}>>@example.org/x"}'),
    ("connection_password", "Server=db;User Id=sa;Password=<<{alnum12}>>;Encrypt=yes"),
    ("connection_password", "Password=<<{alnum12}>>;Server=db"),
    ("connection_password", "Driver={x};UID=sa;PWD=<<{alnum12}>>"),
    ("connection_password", "host=db user=app password=<<{alnum12}>> dbname=app"),
    ("connection_password", "password=<<{alnum12}>> host=db"),
    ("connection_password", "AccountName=x;AccountKey=<<{base6486}==>>;"),
    ("connection_password", "https://x.example/b?sv=1&sig=<<{alnum44}>>"),
    ("connection_password", "https://x.example/?api_key=<<{alnum24}>>&x=1"),
    ("named_secret", '{"password": "<<{alnum10}>>"}'),
    ("named_secret", '{"db_password":"<<correcthorse>>"}'),
    ("named_secret", r'{"arguments":"{\"api_key\": \"<<{alnum20}>>\"}"}'),
    ("named_secret", '{"clientSecret":"<<{alnum20}>>"}'),
    ("named_secret", '{"refresh_token":"<<{url30}>>"}'),
    ("named_secret", '{"secretAccessKey":"<<{base6440}>>"}'),
    ("named_secret", "export SERVICE_API_KEY=<<{alnum24}>>"),
    ("named_secret", "DB_PASSWORD=<<{alnum12}>>"),
    ("named_secret", "client_secret = '<<a1{alnum24}>>'"),
    (
        "private_key",
        "<<-----BEGIN RSA PRIVATE KEY-----\n{base6464}\n{base6464}\n-----END RSA PRIVATE KEY----->>\nafter",
    ),
    (
        "private_key",
        "<<-----BEGIN EC PRIVATE KEY-----\nDEK-Info: AES-128-CBC,00\n\n{base6464}\n-----END EC PRIVATE KEY----->>",
    ),
    (
        "private_key",
        r'{"key":"<<-----BEGIN PRIVATE KEY-----\n{base6464}\n{base6464}\n-----END PRIVATE KEY----->>\n"}',
    ),
    ("private_key", r'{"cut":"<<-----BEGIN OPENSSH PRIVATE KEY-----\n{base6464}\n{base6420}>>'),
    (
        "private_key",
        "<<-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n{base6464}\n-----END PGP PRIVATE KEY BLOCK----->>",
    ),
]
NEGATIVES = [
    "task-2026-11-24-report-final-version-3",
    "the risk-adjusted-return-on-capital-2024 figure",
    "a sk-circle-fade-dot-animation-spinner class",
    "trace 4bf92f3577b34da6a3ce929d0e0e4736, span 00f067aa0ba902b7",
    "call_AbCdEf0123456789AbCdEf01",
    "chatcmpl-9aBcDeFgHiJkLmNoPqRsTuVw",
    "550e8400-e29b-41d4-a716-446655440000",
    "eyJhbGciOiJIUzI1NiJ9 is the header of a token",
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAUA",
    "https://example.org:8443/path@v2?x=1",
    "https://medium.com/@somebody/how-to-1234567890",
    "mail a.person@example.org: see https://example.org",
    "postgres://app:${DB_PASSWORD}@db/app",
    "postgres://app:<password>@db/app",
    "postgres://app:{password}@db/app",
    "postgres://app:***@db/app",
    "postgres://db.example/app",
    '{"password": {"type": "string", "description": "The password"}}',
    '{"password": "string"}',
    '{"api_key": "${API_KEY}"}',
    '{"total_tokens": "1234567890", "token_type": "bearer"}',
    '{"max_tokens":"4096","token_count":"9999999999"}',
    "password=password&next=1",
    "I forgot my password: what do I do?",
    "def login(user, password=None, token=token):",
    "password = get_password(user)",
    "the secret = 'something else'",
    "API_KEY=$OTHER_KEY_1234",
    "Bearer authentication-mechanism",
    "basic understanding-of-the-matter",
    "A key begins with -----BEGIN PRIVATE KEY----- and ends with -----END PRIVATE KEY-----.",
    "-----BEGIN CERTIFICATE-----\nMIIBhTCCASugAwIBAgIQIRi6zePL6mKjOipn\n-----END CERTIFICATE-----",
    "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE\n-----END PUBLIC KEY-----",
    "sk-short",
    "AKIA is how an id begins",
    "ghp_ and xoxb- are prefixes",
    "sha256:f36a8f50f03977b570921c78638193d6cd8f2946e0079825c67d680fffc6d8ef",
    "Der Schlüssel liegt unter der Fußmatte 🔑; 鍵はマットの下",
]


def filled(template: str, seed: int) -> tuple[str, str]:
    """The text with its places filled, and the text that is to be left of it with `\\0` for the secret."""
    chance = random.Random(f"{seed}{template}")

    def fill(found: re.Match[str]) -> str:
        alphabet = _ALPHABETS[found[1]]
        made = "".join(chance.choice(alphabet) for _ in range(int(found[2])))
        # A secret made at random has a digit and a letter, except for the odd one.
        return (
            made
            if found[1] == "digit"
            else "7a"[: len(made)] + made[2:]
            if found[1] in {"alnum", "url"}
            else made
        )

    names = "|".join(sorted(_ALPHABETS, key=len, reverse=True))
    text = re.sub(rf"\{{({names})(\d+)\}}", fill, template)
    return text.replace("<<", "").replace(">>", ""), re.sub(r"<<.*?>>", "\0", text, flags=re.DOTALL)
