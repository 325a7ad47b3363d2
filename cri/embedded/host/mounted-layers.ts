import { readFileSync } from 'node:fs';
import { shiftedLayer } from './user-namespaces.js';

/**
 * Every folder that an overlay mount of this machine has as a lower layer: what must not be removed with its image. Of a layer of a pod
 * with a user namespace only the last name is known; one of that name in another store is kept too, until the next sweep.
 */
export function mountedLayers(mountInfo = readFileSync('/proc/self/mountinfo', 'utf8')): ReadonlySet<string> {
  const layers = new Set<string>();
  for (const line of mountInfo.split('\n')) {
    const [, after] = line.split(' - ');
    const [type, , options = ''] = after?.split(' ') ?? [];
    if (type !== 'overlay') continue;
    for (const option of options.split(',')) {
      // Kernels from 6.5 on may list layers one by one.
      const paths = /^lowerdir\+?=(.*)$/.exec(option)?.[1];
      for (const path of paths?.split(/(?<!\\):/) ?? [])
        layers.add(shiftedLayer.pattern.exec(path)?.[1] ?? path.replaceAll('\\:', ':'));
    }
  }
  return layers;
}
