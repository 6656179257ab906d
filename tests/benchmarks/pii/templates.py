# ruff: noqa: E501, ISC004
"""Sentences that people send to assistants, in English, German and French, with places for what is personal.

Written without looking at the detector's patterns or at presidio's examples. `{name}` and the like are filled in by
`samples`; the word after a bar is the kind that is expected to be found.
"""

ENGLISH = (
    "Can you draft a polite reminder to {name} about the overdue invoice? The address is {address}.",
    "{name} wrote to us again from {email} and wants a refund.",
    "Summarise this call: the caller, {name}, said the parcel never arrived at {address}. Callback on {phone}.",
    "We met with {name} and {name} on Tuesday to go over the renewal, and both seemed content.",
    "Please charge it to {card}, expiry next March, and send the receipt to {email}.",
    "My social is {ssn} and I was told you need it for the background check.",
    "Is it normal that a login from {ip} shows up at 3 in the morning? I was asleep.",
    "The tenant ({name}, {phone}) says the boiler has been broken since Friday.",
    "Transfer the deposit to {iban} as soon as the paperwork is signed by {name}.",
    'Translate into French: "{name} lives at {address} with two children."',
    "According to the notes, {name}'s blood pressure was high at the last visit.",
    "Why did {name} get a discount and I did not? I have been a customer for ten years.",
    "I am writing on behalf of my mother, {name}, who cannot use a computer.",
    "reach me at {phone} or {email}, whichever is faster",
    "Rewrite this so that it sounds less angry: {name} you promised me a call back and nobody rang {phone}.",
    "The firewall dropped 4,000 packets from {ip6} within one minute.",
    "Card number {card} was declined twice, although the limit is not reached.",
    "Ship to {name}, {address}. Leave it with the neighbours if nobody answers.",
    "Who is the next of kin of {name}? The form says {name}, but the phone number {phone} is out of service.",
    "Write a reference letter for {name}, who worked with us from 2019 to 2023 as an electrician.",
    "In the interview {name} mentioned that she had applied before under the name {name}.",
    "Email chain below.\n\n> On Monday {name} <{email}> wrote:\n> I can't open the attachment.\n\nWhat should I answer?",
    "The refund goes to IBAN {iban}, account holder {name}.",
    "For the records: SSN {ssn}, residence {address}.",
    "Complaint no. 4471 was filed by {name} against {name}, see the attached minutes.",
)

GERMAN = (
    "Schreib bitte eine freundliche Mahnung an {name}, wohnhaft in {address}.",
    "{name} hat sich wieder von {email} gemeldet und möchte sein Geld zurück.",
    "Fasse das Telefonat zusammen: {name} sagt, das Paket sei nie bei {address} angekommen. Rückruf unter {phone}.",
    "Wir haben am Dienstag mit {name} und {name} über die Verlängerung gesprochen.",
    "Buchen Sie den Betrag von {iban} ab und schicken Sie die Quittung an {email}.",
    "Die Mieterin {name} ist unter {phone} zu erreichen, aber erst ab 17 Uhr.",
    "Laut Akte war der Blutdruck von {name} beim letzten Besuch zu hoch.",
    "Warum hat {name} einen Rabatt bekommen und ich nicht?",
    "Ich schreibe im Auftrag meiner Mutter {name}, die keinen Computer hat.",
    "Bitte an {name}, {address} liefern, sonst beim Nachbarn abgeben.",
    "Die Karte {card} wurde zweimal abgelehnt, obwohl der Rahmen nicht ausgeschöpft ist.",
    "Erstelle ein Arbeitszeugnis für {name}, von 2019 bis 2023 als Elektriker bei uns.",
    "Beschwerde 4471 wurde von {name} gegen {name} eingereicht.",
    "Die Überweisung auf {iban}, Inhaber {name}, ist noch offen.",
    "Von {ip} kamen heute Nacht 4000 Anfragen in einer Minute.",
    "Übersetze ins Englische: „{name} wohnt mit zwei Kindern in {address}.“",
)

FRENCH = (
    "Rédige un rappel courtois à {name}, domicilié au {address}.",
    "{name} nous a encore écrit depuis {email} et demande un remboursement.",
    "Résume cet appel : {name} affirme que le colis n'est jamais arrivé au {address}. Rappeler au {phone}.",
    "Nous avons vu {name} et {name} mardi pour le renouvellement du contrat.",
    "Merci de prélever {iban} et d'envoyer le reçu à {email}.",
    "La locataire, {name}, est joignable au {phone} après 17 heures.",
    "D'après le dossier, la tension de {name} était trop élevée.",
    "Pourquoi {name} a-t-il eu une remise et pas moi ?",
    "J'écris pour ma mère, {name}, qui n'a pas d'ordinateur.",
    "Livrer à {name}, {address}, sinon chez les voisins.",
    "La carte {card} a été refusée deux fois alors que le plafond n'est pas atteint.",
    "Rédige une lettre de recommandation pour {name}, électricien chez nous de 2019 à 2023.",
    "La plainte 4471 a été déposée par {name} contre {name}.",
    "Le virement vers {iban}, au nom de {name}, est en attente.",
    "L'adresse {ip} a envoyé 4000 requêtes cette nuit.",
)

# What tools and forms send. A leaf is a template of its own.
JSON = (
    {
        "tool": "create_ticket",
        "arguments": {"customer_name": "{name}", "contactEmail": "{email}", "priority": 2},
    },
    {
        "messages": [
            {"role": "user", "content": "{name} asked for the contract to be sent to {email}."}
        ]
    },
    {
        "id": "ord_88213",
        "shipping": {"recipient": "{name}", "address": "{address}", "phone": "{phone}"},
        "items": [3, 4],
    },
    {"event": "login", "user": "{name}", "ip": "{ip}", "ok": True},
    {"applicant": {"fullName": "{name}", "ssn": "{ssn}", "iban": "{iban}"}, "score": 712},
    {"payment": {"pan": "{card}", "holder": "{name}", "amount": "41.90", "currency": "EUR"}},
    {
        "rows": [
            {"patient": "{name}", "mobile": "{phone}"},
            {"patient": "{name}", "mobile": "{phone}"},
        ]
    },
    {"summary": "Call with {name} about the flat in {address}", "tags": ["housing", "urgent"]},
)

CHAT = (
    "User: hi, this is {name}\nAssistant: Hello! How can I help?\nUser: my card {card} does not work\n"
    "Assistant: Sorry to hear that. Which phone number is on file?\nUser: {phone}",
    "customer={name};mail={email};tel={phone};plan=premium",
    "[10:02] agent: Who am I speaking to?\n[10:02] caller: {name}\n[10:03] agent: And your address?\n[10:04] caller: {address}",
    "Name: {name}\nE-mail: {email}\nPhone: {phone}\nAddress: {address}\n\nMessage: please cancel my subscription.",
)

# Nothing in these is anybody's.
CODE = (
    "def total(orders: list[Order]) -> Decimal:\n    return sum((order.price * order.count for order in orders), Decimal(0))\n",
    "import numpy as np\nfrom sklearn.linear_model import LogisticRegression\nmodel = LogisticRegression(C=0.1, max_iter=500)\n",
    "SELECT c.id, COUNT(*) FROM Customers c JOIN Orders o ON o.customer_id = c.id WHERE o.total > 100 GROUP BY c.id;",
    "git commit -m 'Fix Merge Conflict in Parser'\ngit rebase --onto main 9fceb02d0ae598e95dc970b74767f19372d61af8\n",
    "const Router = express.Router();\nRouter.get('/v1/items/:id', async (req, res) => res.json(await Store.find(req.params.id)));",
    "pip install torch==2.1.0 transformers==4.38.2 && python train.py --seed 20231018 --lr 3e-4 --steps 1000000",
    "public class AccountService { private final Map<String, Account> cache = new ConcurrentHashMap<>(); }",
    "docker run -d -p 8080:80 --name web nginx:1.25.3@sha256:4c0fdaa8b6341bfdeca5f18f7837462c80cff90527ee35ef185571e1c327beac",
    'Traceback (most recent call last):\n  File "/srv/app/main.py", line 212, in handle\n    raise ValueError(f"bad id {value!r}")\nValueError: bad id \'00417\'',
    'fn main() { let v: Vec<u32> = (1..10).filter(|n| n % 2 == 0).collect(); println!("{:?}", v); }',
    "kubectl get pods -n Prod | grep CrashLoopBackOff | awk '{print $1}' | xargs kubectl delete pod",
    '#include <stdio.h>\nint main(void) { unsigned long x = 0xDEADBEEFul; printf("%lu 1234567890123\\n", x); return 0; }',
)

NEGATIVE_JSON = (
    {
        "order": "4929 1203 3321 0001 77",
        "sku": "AB-1200-99",
        "weight_kg": 12.4,
        "status": "Shipped",
    },
    {
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
        "span_id": "00f067aa0ba902b7",
        "model": "gpt-4o-mini-2024-07-18",
    },
    {
        "model": "claude-3-5-sonnet-20241022",
        "usage": {"input_tokens": 1233, "output_tokens": 4155551234},
        "stop": "end_turn",
    },
    {
        "build": {
            "version": "10.4.2.17",
            "commit": "9fceb02d0ae598e95dc970b74767f19372d61af8",
            "at": "2024-03-11T10:22:01Z",
        }
    },
    {
        "metrics": [
            {"name": "http_requests_total", "value": 1027394.0},
            {"name": "p99_ms", "value": 213.7},
        ]
    },
    {
        "product": "Samsung Galaxy S24 Ultra",
        "ean": "8806095307459",
        "price": "1.449,00",
        "color": "Titanium Gray",
    },
    {
        "type": "object",
        "properties": {"city": {"type": "string"}, "unit": {"enum": ["Celsius", "Fahrenheit"]}},
    },
    {
        "uuid": "3f2504e0-4f89-11d3-9a0c-0305e82c3301",
        "etag": 'W/"33a64df551425fcc55e4d42a148795d9f25f89d4"',
        "page": 3,
    },
)

NEGATIVE_TEXT = (
    "Order 4471-8823-1190 left the warehouse on 2024-03-11 at 10:22 and weighs 12.4 kg.",
    "Compare GPT-4o, Claude 3.5 Sonnet, Llama 3 and Gemini 1.5 Pro on long contexts of 200000 tokens.",
    "The population of Springfield grew from 116,250 to 155,929 between 2010 and 2020.",
    "Meeting room Einstein is booked, use Curie instead, or Newton on floor 3.",
    "Invoice number 20240311-000872, total 1.299,00 EUR, payable within 30 days.",
    "Use the Pomodoro Technique: 25 minutes of work, then a break of 5 minutes.",
    "Ticket JIRA-48213 blocks the release of version 12.4.0.3 on Monday.",
    "Serial number 7GK2-99XQ-1Z4B, firmware 2.10.4, batch 000917263.",
    "Explain the difference between HTTP 404 and 410 in one sentence.",
    "The Eiffel Tower is 330 metres tall and was finished in 1889.",
)
