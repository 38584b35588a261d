// Node clients that hold a key and no secret: openid-client and oauth4webapi authenticate by private_key_jwt, as they come.
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, before, test } from 'node:test'

import { SignJWT, decodeJwt, exportJWK, generateKeyPair } from 'jose'
import * as oauth4webapi from 'oauth4webapi'
import * as openid from 'openid-client'

import { start } from './server.js'

const jwtBearer = 'urn:ietf:params:oauth:grant-type:jwt-bearer'
const algorithms = ['RS256', 'PS256', 'ES256', 'ES384', 'Ed25519']

const holders = await Promise.all(
  algorithms.map(async (alg) => {
    const { privateKey, publicKey } = await generateKeyPair(alg)
    const jwk = { ...(await exportJWK(publicKey)), alg, use: 'sig', kid: `${alg}-key` }
    return { alg, id: `${alg}-client`, privateKey, jwk }
  }),
)

let server
before(async () => {
  const clients = holders.map(({ id, jwk }) => ({
    client_id: id,
    jwks: { keys: [jwk] },
    scope: 'read write',
    grant_types: ['client_credentials', jwtBearer],
    token_endpoint_auth_method: 'private_key_jwt',
  }))
  server = await start(clients)
})
after(() => server?.stop())

for (const { alg, id, privateKey, jwk } of holders) {
  for (const kid of [jwk.kid, undefined]) {
    test(`openid-client authenticates with ${alg} ${kid ? 'and' : 'without'} kid, again and again`, async () => {
      const authentication = openid.PrivateKeyJwt({ key: privateKey, kid })
      const config = await openid.discovery(new URL(server.issuer), id, undefined, authentication, {
        algorithm: 'oauth2',
        execute: [openid.allowInsecureRequests],
      })
      assert(config.serverMetadata().token_endpoint_auth_methods_supported.includes('private_key_jwt'))
      assert(config.serverMetadata().token_endpoint_auth_signing_alg_values_supported.includes(alg))
      for (let time = 0; time < 2; time += 1) {
        const { access_token } = await openid.clientCredentialsGrant(config, { scope: 'read' })
        assert.equal(decodeJwt(access_token).client_id, id)
      }
    })
  }

  test(`oauth4webapi authenticates with ${alg}, and its assertion is good once`, async () => {
    const insecure = { [oauth4webapi.allowInsecureRequests]: true }
    const issuer = new URL(server.issuer)
    const metadata = await oauth4webapi
      .discoveryRequest(issuer, { algorithm: 'oauth2', ...insecure })
      .then((response) => oauth4webapi.processDiscoveryResponse(issuer, response))
    const client = { client_id: id }
    const jti = randomUUID()
    const authentication = oauth4webapi.PrivateKeyJwt(
      { key: privateKey, kid: jwk.kid },
      { [oauth4webapi.modifyAssertion]: (_header, payload) => (payload.jti = jti) },
    )
    const ask = () => oauth4webapi.clientCredentialsGrantRequest(metadata, client, authentication, { scope: 'read' }, insecure)
    const token = await oauth4webapi.processClientCredentialsResponse(metadata, client, await ask())
    assert.equal(token.scope, 'read')
    assert.equal((await ask()).status, 401)
  })

  test(`openid-client gets a bound token, introspects it and revokes it, all by ${alg}`, async () => {
    const authentication = openid.PrivateKeyJwt({ key: privateKey, kid: jwk.kid })
    const config = await openid.discovery(new URL(server.issuer), id, undefined, authentication, {
      algorithm: 'oauth2',
      execute: [openid.allowInsecureRequests],
    })
    const DPoP = openid.getDPoPHandle(config, await openid.randomDPoPKeyPair(alg))
    const { access_token, token_type } = await openid.clientCredentialsGrant(config, { scope: 'read' }, { DPoP })
    assert.equal(token_type, 'dpop')
    const shown = await openid.tokenIntrospection(config, access_token)
    assert.deepEqual([shown.active, shown.client_id, shown.scope, shown.token_type], [true, id, 'read', 'DPoP'])
    assert.deepEqual(shown.cnf, decodeJwt(access_token).cnf)
    assert.equal(await openid.tokenRevocation(config, access_token), undefined)
    assert.deepEqual(await openid.tokenIntrospection(config, access_token), { active: false })
  })

  test(`oauth4webapi gets a bound token, introspects it and revokes it, all by ${alg}`, async () => {
    const insecure = { [oauth4webapi.allowInsecureRequests]: true }
    const issuer = new URL(server.issuer)
    const metadata = await oauth4webapi
      .discoveryRequest(issuer, { algorithm: 'oauth2', ...insecure })
      .then((response) => oauth4webapi.processDiscoveryResponse(issuer, response))
    const client = { client_id: id }
    const authentication = oauth4webapi.PrivateKeyJwt({ key: privateKey, kid: jwk.kid })
    const DPoP = oauth4webapi.DPoP(client, await oauth4webapi.generateKeyPair(alg))
    const { access_token, token_type } = await oauth4webapi
      .clientCredentialsGrantRequest(metadata, client, authentication, { scope: 'read' }, { DPoP, ...insecure })
      .then((response) => oauth4webapi.processClientCredentialsResponse(metadata, client, response))
    assert.equal(token_type, 'dpop')
    const introspect = () =>
      oauth4webapi
        .introspectionRequest(metadata, client, authentication, access_token, insecure)
        .then((response) => oauth4webapi.processIntrospectionResponse(metadata, client, response))
    const { active, client_id } = await introspect()
    assert.deepEqual([active, client_id], [true, id])
    await oauth4webapi
      .revocationRequest(metadata, client, authentication, access_token, insecure)
      .then(oauth4webapi.processRevocationResponse)
    assert.deepEqual(await introspect(), { active: false })
  })

  test(`an assertion that jose signs with ${alg} is a grant`, async () => {
    const assertion = await new SignJWT()
      .setProtectedHeader({ alg, kid: jwk.kid, typ: 'authorization-grant+jwt' })
      .setIssuer(id)
      .setSubject(id)
      .setAudience(server.issuer)
      .setJti(randomUUID())
      .setIssuedAt()
      .setExpirationTime('1m')
      .sign(privateKey)
    const body = new URLSearchParams({ grant_type: jwtBearer, assertion })
    const ask = () => fetch(`${server.issuer}/oauth2/token`, { method: 'POST', body })
    assert.equal((await ask()).status, 200)
    const again = await ask()
    assert.equal(again.status, 400)
    assert.deepEqual(await again.json(), { error: 'invalid_grant', error_description: 'The assertion was used before' })
  })
}
