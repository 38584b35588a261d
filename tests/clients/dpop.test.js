// DPoP (RFC 9449) by clients that others wrote, against `mintlet serve`, with and without nonces.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'

import { calculateJwkThumbprint, decodeJwt, exportJWK } from 'jose'
import * as oauth4webapi from 'oauth4webapi'
import * as openid from 'openid-client'

import { start } from './server.js'

const { clients } = JSON.parse(await readFile(new URL('dpop-clients.json', import.meta.url), 'utf8'))
const [client] = clients
const algorithms = ['RS256', 'PS256', 'ES256', 'ES384', 'Ed25519']
const insecure = { [oauth4webapi.allowInsecureRequests]: true }

async function thumbprint(keyPair) {
  return calculateJwkThumbprint(await exportJWK(keyPair.publicKey))
}

for (const nonce of ['off', 'required']) {
  let server
  before(async () => (server = await start(clients, { DPOP_NONCE: nonce })))
  after(() => server?.stop())

  for (const algorithm of algorithms) {
    test(`openid-client gets a token bound to its ${algorithm} key, nonces ${nonce}`, async () => {
      const config = await openid.discovery(new URL(server.issuer), client.client_id, client.client_secret, undefined, {
        algorithm: 'oauth2',
        execute: [openid.allowInsecureRequests],
      })
      assert(config.serverMetadata().dpop_signing_alg_values_supported.includes(algorithm))
      const keyPair = await openid.randomDPoPKeyPair(algorithm, { extractable: true })
      const DPoP = openid.getDPoPHandle(config, keyPair)
      for (let round = 0; round < 2; round += 1) {
        const answer = await openid.clientCredentialsGrant(config, { scope: 'read' }, { DPoP })
        assert.equal(answer.token_type, 'dpop')
        assert.deepEqual(decodeJwt(answer.access_token).cnf, { jkt: await thumbprint(keyPair) })
      }
    })
  }

  test(`oauth4webapi gets a bound token, and takes it as a resource server, nonces ${nonce}`, async () => {
    const issuer = new URL(server.issuer)
    const metadata = await oauth4webapi
      .discoveryRequest(issuer, { algorithm: 'oauth2', ...insecure })
      .then((response) => oauth4webapi.processDiscoveryResponse(issuer, response))
    const keyPair = await oauth4webapi.generateKeyPair('ES256', { extractable: true })
    const self = { client_id: client.client_id }
    const DPoP = oauth4webapi.DPoP(self, keyPair)
    const authentication = oauth4webapi.ClientSecretBasic(client.client_secret)
    const ask = () =>
      oauth4webapi
        .clientCredentialsGrantRequest(metadata, self, authentication, { scope: 'read' }, { DPoP, ...insecure })
        .then((response) => oauth4webapi.processClientCredentialsResponse(metadata, self, response))
    const answer = await ask().catch((error) => {
      assert(nonce === 'required' && oauth4webapi.isDPoPNonceError(error), `${error}`)
      return ask()
    })
    assert.equal(answer.token_type, 'dpop')

    // As a resource server would be called with it: the token's key has to be the proof's.
    const url = new URL('https://api.example.com/things')
    let request
    await oauth4webapi.protectedResourceRequest(answer.access_token, 'GET', url, undefined, undefined, {
      DPoP,
      [oauth4webapi.customFetch]: async (href, options) => {
        request = new Request(href, options)
        return new Response()
      },
    })
    const claims = await oauth4webapi.validateJwtAccessToken(metadata, request, 'https://api.example.com', {
      requireDPoP: true,
      // The token's, and the proof's.
      signingAlgorithms: ['RS256', 'ES256'],
      ...insecure,
    })
    assert.equal(claims.cnf.jkt, await thumbprint(keyPair))
  })

  test(`a client that has to send proofs gets no token without, nonces ${nonce}`, async () => {
    const config = await openid.discovery(new URL(server.issuer), client.client_id, client.client_secret, undefined, {
      algorithm: 'oauth2',
      execute: [openid.allowInsecureRequests],
    })
    await assert.rejects(openid.clientCredentialsGrant(config, {}), { error: 'invalid_dpop_proof', status: 400 })
  })

  test(`the documentation's snippet gets a token, nonces ${nonce}`, async () => {
    const page = await readFile(new URL('../../docs/dpop.md', import.meta.url), 'utf8')
    const [, snippet] = page.match(/```js\n([^]*?)```/)
    // Beside node_modules, where its import is found.
    const path = new URL(`./snippet-${process.pid}-${nonce}.mjs`, import.meta.url)
    await writeFile(path, snippet)
    try {
      const env = { PATH: process.env.PATH, ISSUER: server.issuer, CLIENT_ID: client.client_id, CLIENT_SECRET: client.client_secret }
      const { stdout } = await promisify(execFile)(process.execPath, [path.pathname], { env })
      const [type, token] = stdout.trim().split(' ')
      assert.equal(type, 'dpop')
      assert.equal(typeof decodeJwt(token).cnf.jkt, 'string')
    } finally {
      await rm(path, { force: true })
    }
  })
}
