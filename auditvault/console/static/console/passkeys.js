// Passkeys: asks the browser's credential store and puts its answer into the form that asked. A form says what it wants
// in `data-passkey` (sign-in, prove or add) and what to ask in `data-options`; nothing of this is inline, since the
// pages' policy lets no inline script run.
"use strict";
(() => {
  const bytes = (text) =>
    Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (letter) => letter.charCodeAt(0));
  const text = (buffer) =>
    btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  const known = (list) => (list || []).map((one) => ({ ...one, id: bytes(one.id) }));

  async function prove(publicKey) {
    const found = await navigator.credentials.get({
      publicKey: {
        ...publicKey,
        challenge: bytes(publicKey.challenge),
        allowCredentials: known(publicKey.allowCredentials),
      },
    });
    const { authenticatorData, clientDataJSON, signature, userHandle } = found.response;
    return answer(found, {
      authenticatorData: text(authenticatorData),
      clientDataJSON: text(clientDataJSON),
      signature: text(signature),
      userHandle: userHandle ? text(userHandle) : null,
    });
  }

  async function add(publicKey, alone) {
    const selection = {
      ...publicKey.authenticatorSelection,
      residentKey: alone ? "required" : "discouraged",
      requireResidentKey: alone,
    };
    if (alone) selection.userVerification = "required";
    const made = await navigator.credentials.create({
      publicKey: {
        ...publicKey,
        authenticatorSelection: selection,
        challenge: bytes(publicKey.challenge),
        user: { ...publicKey.user, id: bytes(publicKey.user.id) },
        excludeCredentials: known(publicKey.excludeCredentials),
      },
    });
    const { attestationObject, clientDataJSON } = made.response;
    return answer(made, { attestationObject: text(attestationObject), clientDataJSON: text(clientDataJSON) });
  }

  function answer(credential, response) {
    return {
      id: credential.id,
      rawId: text(credential.rawId),
      type: credential.type,
      response,
      clientExtensionResults: credential.getClientExtensionResults(),
    };
  }

  async function options(form) {
    if (form.dataset.options) return JSON.parse(form.dataset.options);
    const found = await fetch(form.action, { headers: { Accept: "application/json" } });
    return (await found.json()).request_options;
  }

  if (!window.PublicKeyCredential) return;
  for (const form of document.querySelectorAll("form[data-passkey]")) {
    form.hidden = false;
    form.querySelector("button").addEventListener("click", async () => {
      const said = form.querySelector("[data-passkey-said]");
      said.textContent = "";
      try {
        const { publicKey } = await options(form);
        const found =
          form.dataset.passkey === "add"
            ? await add(publicKey, form.elements.passwordless.checked)
            : await prove(publicKey);
        form.elements.credential.value = JSON.stringify(found);
        form.submit();
      } catch {
        said.textContent = "The passkey was not used. Try again, or use another way.";
      }
    });
  }
})();
