// A node of npm's bittorrent-dht for the tests of the DHT. Takes the folder that has the package, its address and the
// nodes that it may ask first, then obeys commands, one JSON document a line each way; see dht_libtorrent.py.

import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { pathToFileURL } from 'node:url'

const [folder, ip, port, nodes] = process.argv.slice(2)
const installed = `${folder}/node_modules/bittorrent-dht`
const { default: DHT } = await import(pathToFileURL(`${installed}/index.js`))
const { version } = JSON.parse(readFileSync(`${installed}/package.json`))

const dht = new DHT({ bootstrap: JSON.parse(nodes).map(([host, port]) => `${host}:${port}`) })
const peers = new Map()
dht.on('peer', (peer, infohash) => {
  const key = infohash.toString('hex')
  if (!peers.has(key)) peers.set(key, new Set())
  peers.get(key).add(JSON.stringify([peer.host, peer.port]))
})
await new Promise(resolve => dht.listen(Number(port), ip, resolve))
const say = answer => process.stdout.write(JSON.stringify(answer) + '\n')
say({ version })

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line)
  if (command.do === 'announce') {
    dht.announce(command.infohash, command.port)
    say({})
  } else if (command.do === 'found') {
    say({ peers: [...(peers.get(command.infohash) ?? [])].map(JSON.parse) })
  } else {
    say({ error: `unknown command ${command.do}` })
  }
}
process.exit(0)
