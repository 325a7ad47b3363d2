/** Counters of one network interface since it was made. */
export interface InterfaceCounters {
  readonly name: string;
  readonly rxBytes: number;
  readonly rxPackets: number;
  readonly rxErrors: number;
  readonly rxDropped: number;
  readonly txBytes: number;
  readonly txPackets: number;
  readonly txErrors: number;
  readonly txDropped: number;
}

/** `/proc/<pid>/net/dev`, without the loopback, in its order. */
export function parseNetDev(text: string): InterfaceCounters[] {
  return text
    .split('\n')
    .slice(2)
    .flatMap((line) => {
      const [name = '', numbers] = line.trim().split(/:\s*/);
      if (numbers === undefined || name === 'lo') return [];
      const value = numbers.split(/\s+/).map(Number);
      const at = (index: number): number => value[index] ?? 0;
      return [
        {
          name,
          rxBytes: at(0),
          rxPackets: at(1),
          rxErrors: at(2),
          rxDropped: at(3),
          txBytes: at(8),
          txPackets: at(9),
          txErrors: at(10),
          txDropped: at(11),
        },
      ];
    });
}
