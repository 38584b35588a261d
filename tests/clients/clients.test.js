// Node clients and verifiers against `mintlet serve`: openid-client asks; jose, oauth4webapi and aws-jwt-verify verify.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'

import { JwtVerifier } from 'aws-jwt-verify'
import { createRemoteJWKSet, decodeProtectedHeader, jwtVerify } from 'jose'
import * as oauth4webapi from 'oauth4webapi'
import * as openid from 'openid-client'

import { clients, start } from './server.js'

const audience = 'https://api.example.com'
const algorithmOf = (client) => client.access_token_signed_response_alg ?? 'RS256'

let server
before(async () => (server = await start()))
after(() => server?.stop())

function discover(client, authentication) {
  return openid.discovery(new URL(server.issuer), client.client_id, client.client_secret, authentication(client.client_secret), {
    algorithm: 'oauth2',
    execute: [openid.allowInsecureRequests],
  })
}

async function ask(client, authentication = openid.ClientSecretBasic) {
  return openid.clientCredentialsGrant(await discover(client, authentication), { scope: 'read' })
}

for (const client of clients) {
  for (const authentication of [openid.ClientSecretBasic, openid.ClientSecretPost]) {
    test(`openid-client gets a token for ${client.client_id} by ${authentication.name}, and jose verifies it strictly`, async () => {
      const answer = await ask(client, authentication)
      assert.equal(answer.token_type, 'bearer')
      assert.equal(answer.expires_in, 3600)
      assert.equal(answer.scope, 'read')

      const config = await discover(client, authentication)
      const keys = createRemoteJWKSet(new URL(config.serverMetadata().jwks_uri))
      const { payload, protectedHeader } = await jwtVerify(answer.access_token, keys, {
        issuer: server.issuer,
        audience,
        algorithms: [algorithmOf(client)],
        typ: 'at+jwt',
        subject: client.client_id,
        maxTokenAge: 60,
        requiredClaims: ['iss', 'exp', 'aud', 'sub', 'client_id', 'iat', 'jti'],
      })
      assert.equal(protectedHeader.alg, algorithmOf(client))
      assert.equal(payload.client_id, client.client_id)
      assert.equal(payload.scope, 'read')
    })
  }

  test(`oauth4webapi takes the token of ${client.client_id} as an RFC 9068 access token`, async () => {
    const { access_token } = await ask(client)
    const issuer = new URL(server.issuer)
    const insecure = { [oauth4webapi.allowInsecureRequests]: true }
    const metadata = await oauth4webapi
      .discoveryRequest(issuer, { algorithm: 'oauth2', ...insecure })
      .then((response) => oauth4webapi.processDiscoveryResponse(issuer, response))
    const request = new Request('https://api.example.com/things', { headers: { authorization: `Bearer ${access_token}` } })
    const claims = await oauth4webapi.validateJwtAccessToken(metadata, request, audience, {
      signingAlgorithms: [algorithmOf(client)],
      ...insecure,
    })
    assert.equal(claims.client_id, client.client_id)
  })
}

// aws-jwt-verify knows no PSS signatures.
for (const client of clients.filter((client) => algorithmOf(client) !== 'PS256')) {
  test(`aws-jwt-verify takes the token of ${client.client_id}`, async () => {
    const { access_token } = await ask(client)
    const jwksUri = `${server.issuer}/.well-known/jwks.json`
    const verifier = JwtVerifier.create({ issuer: server.issuer, audience, jwksUri, scope: 'read' })
    verifier.cacheJwks(await fetch(jwksUri).then((answer) => answer.json()))
    const claims = await verifier.verify(access_token)
    assert.equal(claims.client_id, client.client_id)
    assert.equal(decodeProtectedHeader(access_token).typ, 'at+jwt')
  })
}

const clientOf = (id) => clients.find((client) => client.client_id === id)

for (const authentication of [openid.ClientSecretBasic, openid.ClientSecretPost]) {
  test(`openid-client introspects a token and revokes it by ${authentication.name}`, async () => {
    const config = await discover(clientOf('rs256'), authentication)
    const { access_token } = await openid.clientCredentialsGrant(config, { scope: 'read' })
    const introspection = await openid.tokenIntrospection(config, access_token)
    assert.deepEqual(
      [introspection.active, introspection.client_id, introspection.scope, introspection.aud, introspection.token_type],
      [true, 'rs256', 'read', audience, 'Bearer'],
    )
    const api = await discover(clientOf('api'), authentication)
    assert.deepEqual(await openid.tokenIntrospection(api, access_token), introspection)
    const stranger = await discover(clientOf('es256'), authentication)
    assert.deepEqual(await openid.tokenIntrospection(stranger, access_token), { active: false })
    await assert.rejects(openid.tokenRevocation(stranger, access_token), { error: 'unauthorized_client' })

    assert.equal(await openid.tokenRevocation(config, access_token), undefined)
    assert.deepEqual(await openid.tokenIntrospection(config, access_token), { active: false })
    assert.equal(await openid.tokenRevocation(config, access_token), undefined)
  })
}

for (const id of ['rs256', 'es256', 'eddsa']) {
  test(`oauth4webapi introspects a token of ${id} as a signed JWT, verifies it, and revokes the token`, async () => {
    const { access_token } = await ask(clientOf(id))
    const issuer = new URL(server.issuer)
    const insecure = { [oauth4webapi.allowInsecureRequests]: true }
    const metadata = await oauth4webapi
      .discoveryRequest(issuer, { algorithm: 'oauth2', ...insecure })
      .then((response) => oauth4webapi.processDiscoveryResponse(issuer, response))
    const client = { client_id: id, introspection_signed_response_alg: clientOf(id).introspection_signed_response_alg ?? 'RS256' }
    const secret = oauth4webapi.ClientSecretBasic(clientOf(id).client_secret)
    const introspect = async () => {
      const options = { requestJwtResponse: true, ...insecure }
      const response = await oauth4webapi.introspectionRequest(metadata, client, secret, access_token, options)
      const introspection = await oauth4webapi.processIntrospectionResponse(metadata, client, response)
      await oauth4webapi.validateApplicationLevelSignature(metadata, response, insecure)
      return introspection
    }
    const { active, client_id } = await introspect()
    assert.deepEqual([active, client_id], [true, id])
    await oauth4webapi.revocationRequest(metadata, client, secret, access_token, insecure).then(oauth4webapi.processRevocationResponse)
    assert.deepEqual(await introspect(), { active: false })
  })
}

test('openid-client exchanges a token for one of less scope that names who acts', async () => {
  const accessToken = 'urn:ietf:params:oauth:token-type:access_token'
  const { access_token: subject_token } = await ask(clientOf('rs256'))
  const config = await discover(clientOf('gateway'), openid.ClientSecretBasic)
  const { access_token: actor_token } = await openid.clientCredentialsGrant(config)
  const answer = await openid.genericGrantRequest(config, 'urn:ietf:params:oauth:grant-type:token-exchange', {
    subject_token,
    subject_token_type: accessToken,
    actor_token,
    actor_token_type: accessToken,
    scope: 'read',
    resource: audience,
  })
  assert.deepEqual([answer.scope, answer.issued_token_type], ['read', accessToken])
  const { sub, client_id, act } = await openid.tokenIntrospection(config, answer.access_token)
  assert.deepEqual([sub, client_id, act], ['rs256', 'gateway', { sub: 'gateway', client_id: 'gateway' }])
})

test('a refusal is understood', async () => {
  const client = { client_id: 'rs256', client_secret: 'not-the-secret' }
  await assert.rejects(ask(client), (error) => {
    assert(error instanceof openid.WWWAuthenticateChallengeError || error instanceof openid.ResponseBodyError, `${error}`)
    assert.equal(error.status, 401)
    return true
  })
})
