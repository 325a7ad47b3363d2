import { readFileSync } from 'node:fs';

/** Every folder that an overlay mount of this machine has as a lower layer: what must not be removed with its image. */
export function mountedLayers(mountInfo = readFileSync('/proc/self/mountinfo', 'utf8')): ReadonlySet<string> {
  const layers = new Set<string>();
  for (const line of mountInfo.split('\n')) {
    const [, after] = line.split(' - ');
    const [type, , options = ''] = after?.split(' ') ?? [];
    if (type !== 'overlay') continue;
    for (const option of options.split(',')) {
      // Kernels from 6.5 on may list layers one by one.
      const paths = /^lowerdir\+?=(.*)$/.exec(option)?.[1];
      for (const path of paths?.split(/(?<!\\):/) ?? []) layers.add(path.replaceAll('\\:', ':'));
    }
  }
  return layers;
}
