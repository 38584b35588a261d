// @node-oauth/oauth2-server behind Node's own http server; access tokens are RS256 JWTs, signed with a key held in memory:
// by jose, or with SIGNER=crypto by hand with Node's own crypto, the least that a JWT can cost on Node.
// PORT, CLIENT_ID and CLIENT_SECRET come from the environment.
import { createHash, generateKeyPairSync, randomUUID, sign, timingSafeEqual } from 'node:crypto';
import http from 'node:http';
import OAuth2Server from '@node-oauth/oauth2-server';
import { SignJWT, importPKCS8 } from 'jose';

const { PORT, CLIENT_ID, CLIENT_SECRET, SIGNER } = process.env;
const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const digest = (text) => createHash('sha256').update(text).digest();
const client = { id: CLIENT_ID, secret: digest(CLIENT_SECRET), grants: ['client_credentials'], scope: ['read', 'write'] };
const header = { alg: 'RS256', typ: 'at+jwt', kid: 'bench' };

const josesKey = await importPKCS8(privateKey.export({ type: 'pkcs8', format: 'pem' }), 'RS256');
const byJose = (claims) => new SignJWT(claims).setProtectedHeader(header).sign(josesKey);

const base64url = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
const encodedHeader = base64url(header);
const byHand = (claims) => {
  const unsigned = `${encodedHeader}.${base64url(claims)}`;
  return `${unsigned}.${sign('sha256', Buffer.from(unsigned), privateKey).toString('base64url')}`;
};
const signed = SIGNER === 'crypto' ? byHand : byJose;

const model = {
  getClient: (id, secret) => id === client.id && timingSafeEqual(digest(secret), client.secret) && client,
  getUserFromClient: () => ({ id: client.id }),
  validateScope: (_user, { scope }, wanted) => wanted ?? scope,
  generateAccessToken: (_client, user, scope) => {
    const iat = Math.floor(Date.now() / 1000);
    return signed({
      iss: `http://127.0.0.1:${PORT}`, sub: user.id, client_id: user.id, aud: 'https://api.example.com',
      scope: scope.join(' '), jti: randomUUID(), iat, exp: iat + 3600,
    });
  },
  saveToken: (token, ofClient, user) => ({ ...token, client: ofClient, user }),
};
const server = new OAuth2Server({ model, accessTokenLifetime: 3600 });

http.createServer(async (incoming, outgoing) => {
  const chunks = [];
  for await (const chunk of incoming) chunks.push(chunk);
  const body = Object.fromEntries(new URLSearchParams(Buffer.concat(chunks).toString()));
  const { method, headers } = incoming;
  const response = new OAuth2Server.Response({ headers: {} });
  await server.token(new OAuth2Server.Request({ method, headers, query: {}, body }), response).catch(() => {});
  outgoing.writeHead(response.status, { 'Content-Type': 'application/json', ...response.headers });
  outgoing.end(JSON.stringify(response.body));
}).listen(Number(PORT), '127.0.0.1');
