import { bytesText } from './output/bytes.js';

/** What the machine is made of, in words. It never changes while an agent runs, so the command looks itself, and only when asked. */
export async function machineFacts(): Promise<Readonly<Record<string, string>>> {
  // Loading it costs more than most commands take altogether; the agent must not have it in memory.
  const { system, cpu, memLayout, diskLayout } = await import('systeminformation');
  const [machine, processor, modules, disks] = await Promise.all([system(), cpu(), memLayout(), diskLayout()]);
  const made = [machine.manufacturer, machine.model].filter((part) => isKnown(part)).join(' ');
  const sockets = processor.processors > 1 ? ` in ${processor.processors} sockets` : '';
  const speed = processor.speed > 0 ? `, ${processor.speed} GHz` : '';
  return {
    machine: `${made || '<unknown>'}${machine.virtual ? ` (virtual${machine.virtualHost ? `, ${machine.virtualHost}` : ''})` : ''}`,
    processor: `${[processor.manufacturer, processor.brand].join(' ').trim()}, ${processor.physicalCores} cores${sockets}${speed}`,
    memoryModules:
      modules
        .filter(({ size }) => size > 0)
        .map(({ size, type, clockSpeed }) => {
          const clock = clockSpeed ? ` ${clockSpeed} MT/s` : '';
          return `${bytesText(size)}${isKnown(type) ? ` ${type}` : ''}${clock}`;
        })
        .join(', ') || '<unknown>',
    disks:
      disks.map(({ name, type, size }) => `${name || type} (${type}, ${bytesText(size)})`).join(', ') || '<unknown>',
  };
}

const isKnown = (text: string): boolean =>
  text !== '' && text !== '-' && !/^(unknown|not specified|to be filled)/i.test(text);
