// `mintlet serve` in memory on a free port, for the length of a test run.
import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

const here = fileURLToPath(new URL('.', import.meta.url))
const target = process.env.CARGO_TARGET_DIR ?? join(here, '..', '..', 'target')
export const { clients } = JSON.parse(await readFile(join(here, 'clients.json'), 'utf8'))

function freePort() {
  return new Promise((resolve, reject) => {
    const listener = createServer()
    listener.once('error', reject)
    listener.listen(0, '127.0.0.1', () => {
      const { port } = listener.address()
      listener.close(() => resolve(port))
    })
  })
}

// With these clients, and more variables in the environment, if wanted.
export async function start(registered = clients, variables = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'mintlet-clients-'))
  const clientsFile = join(folder, 'clients.json')
  await writeFile(clientsFile, JSON.stringify({ clients: registered }))
  const port = await freePort()
  const issuer = `http://127.0.0.1:${port}`
  const child = spawn(
    join(target, 'debug', 'mintlet'),
    ['serve', '--in-memory', '--port', `${port}`, '--clients', clientsFile],
    { cwd: folder, env: { ...process.env, ...variables }, stdio: ['ignore', 'pipe', 'pipe'] },
  )
  let output = ''
  let ended
  child.stdout.on('data', (chunk) => (output += chunk))
  child.stderr.on('data', (chunk) => (output += chunk))
  child.once('error', (error) => (ended = `could not start: ${error}`))
  child.once('exit', (code, signal) => (ended = `ended with ${code ?? signal}`))

  async function stop() {
    if (!ended) {
      child.kill('SIGTERM')
      for (let tries = 0; !ended && tries < 200; tries += 1) await delay(50)
      if (!ended) child.kill('SIGKILL')
    }
    await rm(folder, { recursive: true, force: true })
  }

  for (const deadline = Date.now() + 60_000; ; await delay(50)) {
    if (ended) throw new Error(`mintlet serve ${ended}\n${output}`)
    const healthy = await fetch(`${issuer}/health`).then((answer) => answer.ok, () => false)
    if (healthy) return { issuer, stop }
    if (Date.now() > deadline) {
      await stop()
      throw new Error(`mintlet serve did not answer\n${output}`)
    }
  }
}
