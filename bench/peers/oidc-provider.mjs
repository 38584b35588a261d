// oidc-provider: one client that gets JWT access tokens (RFC 9068) for client_credentials. Nothing else is switched on.
// PORT, ALG, CLIENT_ID and CLIENT_SECRET come from the environment.
import { exportJWK, generateKeyPair } from 'jose';
import { Provider } from 'oidc-provider';

const { PORT, ALG, CLIENT_ID, CLIENT_SECRET } = process.env;

async function key(alg) {
  const { privateKey } = await generateKeyPair(alg, { modulusLength: 2048, extractable: true });
  return { ...(await exportJWK(privateKey)), use: 'sig', alg, kid: alg };
}

// ID tokens, which nobody asks for here, want an RS256 key to be there.
const keys = [await key(ALG)];
if (ALG !== 'RS256') keys.push(await key('RS256'));

const provider = new Provider(`http://127.0.0.1:${PORT}`, {
  jwks: { keys },
  clients: [{
    client_id: CLIENT_ID,
    client_secret: CLIENT_SECRET,
    token_endpoint_auth_method: 'client_secret_post',
    grant_types: ['client_credentials'],
    redirect_uris: [],
    response_types: [],
    scope: 'read write',
  }],
  scopes: ['read', 'write'],
  ttl: { ClientCredentials: 3600 },
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => 'https://api.example.com',
      useGrantedResource: () => true,
      getResourceServerInfo: () => ({
        scope: 'read write',
        audience: 'https://api.example.com',
        accessTokenFormat: 'jwt',
        accessTokenTTL: 3600,
        jwt: { sign: { alg: ALG } },
      }),
    },
  },
});
provider.on('server_error', (_, error) => console.error(error));
provider.listen(Number(PORT), '127.0.0.1');
