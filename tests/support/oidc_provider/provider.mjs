// An OpenID provider on loopback: node provider.mjs PORT REDIRECT_URI. Any login works; groups follow from the name.
import { createServer } from "node:http";

import { Provider } from "oidc-provider";

const [port, redirect] = process.argv.slice(2);
const issuer = `http://127.0.0.1:${port}`;
const GROUPS = { ann: ["/finance/approvers"], vic: ["watchers"], eve: ["guests"], both: ["watchers", "/finance/approvers"] };
const SECONDS = { "waggle-brief": 1 };

const client = (client_id) => ({
  client_id,
  client_secret: "a-secret-of-the-test",
  redirect_uris: [redirect],
  post_logout_redirect_uris: [redirect.replace("/login/callback", "/login")],
});

const provider = new Provider(issuer, {
  clients: [client("waggle"), client("another"), client("waggle-brief")],
  claims: { openid: ["sub", "groups"], email: ["email", "email_verified"] },
  conformIdTokenClaims: false,
  cookies: { keys: ["a-key-of-the-test"] },
  pkce: { required: () => true },
  ttl: { IdToken: (_, __, { clientId }) => SECONDS[clientId] ?? 3600 },
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({
      sub: id,
      email: `${id}@example.com`,
      email_verified: id !== "mallory",
      groups: GROUPS[id] ?? (id === "mallory" ? GROUPS.ann : []),
    }),
  }),
});

createServer(provider.callback()).listen(Number(port), "127.0.0.1", () => console.log("ready"));
