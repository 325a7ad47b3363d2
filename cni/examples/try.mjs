// Runs the plugin beside this file through a whole life: ADD, CHECK, DEL. Needs no root: the plugin touches no network.
//   npm run build && node cni/examples/try.mjs
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openCni, writeConfList } from 'berth/cni';

const folder = await mkdtemp(join(tmpdir(), 'berth-cni-example-'));
const confDir = join(folder, 'net.d');
await writeConfList(confDir, '10-example.conflist', {
  cniVersion: '1.1.0',
  name: 'example',
  plugins: [{ type: 'add-dns.mjs', nameservers: ['192.0.2.53'] }],
});

// Prints every call that goes to a plugin and what came back.
const recorder = {
  begin: ({ verb, plugin, request }) => {
    console.log(`> ${verb} ${plugin} ${JSON.stringify(request.config)}`);
    return ({ response, error }) => console.log(`< ${error === undefined ? JSON.stringify(response) : error.message}`);
  },
};

const { signal } = new AbortController();
const options = { confDir, binDirs: [import.meta.dirname], cacheDir: join(folder, 'cache') };
const cni = await openCni(options, { recorder }, signal);
console.log('status', await cni.status(signal));
const attached = await cni.attach({ containerId: 'example-1', netns: '/proc/self/ns/net' }, signal);
console.log('attached', attached.result.dns);
console.log('check', await cni.check({ containerId: 'example-1' }, signal));
await cni.detach({ containerId: 'example-1' }, signal);
console.log('left', cni.attachments());
await cni[Symbol.asyncDispose]();
await rm(folder, { recursive: true });
