// Draws each figure[data-chart] of the page, also those that htmx brings; the table below it has the same values.
(() => {
  const HEIGHT = 180;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const drawn = new Map(); // element -> its chart

  const utc = (seconds) => uPlot.tzDate(new Date(seconds * 1e3), "Etc/UTC");
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const day = uPlot.fmtDate("{MM}-{DD}");
  const hour = uPlot.fmtDate("{MM}-{DD} {HH}h");
  const short = new Intl.NumberFormat("en", { notation: "compact" });
  const whole = new Intl.NumberFormat("en");

  // Middles of the periods that have room for a word below them.
  const named = (at, step, width) => {
    const apart = Math.ceil((at[at.length - 1] - at[0] + 2 * step) / step / (width / 80)) * step;
    return Array.from({ length: Math.floor((at[at.length - 1] - at[0]) / apart) + 1 }, (_, n) => at[0] + n * apart);
  };

  const options = (plot, { at, step, name }) => {
    const axis = { stroke: colour("--quiet"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line"), width: 1 } };
    const label = uPlot.fmtDate(step > 3600 ? "{YYYY}-{MM}-{DD}" : "{YYYY}-{MM}-{DD} {HH}:00");
    return {
      width: plot.clientWidth,
      height: HEIGHT,
      tzDate: utc,
      cursor: { drag: { x: false, y: false } },
      scales: {
        x: { range: () => [at[0] - step, at[at.length - 1] + step] },
        y: { range: (_, least, most) => [Math.min(0, least), most * 1.05 || 1] },
      },
      axes: [
        { ...axis, splits: (chart) => named(at, step, chart.width), values: (_, ticks) => ticks.map((tick) => (step > 3600 ? day : hour)(utc(tick))) },
        { ...axis, size: 56, values: (_, ticks) => ticks.map((tick) => short.format(tick)) },
      ],
      series: [
        { label: "From", value: (_, seconds) => (seconds == null ? "–" : label(utc(seconds))) },
        {
          label: name,
          fill: colour("--chart"),
          paths: uPlot.paths.bars({ size: [0.85, 48] }),
          points: { show: false },
          value: (_, value) => (value == null ? "–" : whole.format(value)),
        },
      ],
    };
  };

  // Months are equally far apart, at whole numbers; the bars of one stand side by side around its middle.
  const monthly = (plot, { months, series, digits }) => {
    const axis = { stroke: colour("--quiet"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line"), width: 1 } };
    const many = series.length;
    const spot = (month, n) => month + (many > 1 ? (n - (many - 1) / 2) / (many + 1) : 0);
    const at = months.flatMap((_, month) => series.map((_, n) => spot(month, n)));
    const money = new Intl.NumberFormat("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
    const apart = Math.max(1, Math.ceil((months.length * 70) / plot.clientWidth));
    return {
      data: [at, ...series.map(({ values }, n) => values.flatMap((value) => series.map((_, other) => (n === other && (value || many === 1) ? value / 10 ** digits : null))))],
      options: {
        width: plot.clientWidth,
        height: HEIGHT,
        cursor: { drag: { x: false, y: false } },
        scales: {
          x: { time: false, range: () => [-0.7, months.length - 0.3] },
          y: { range: (_, least, most) => [Math.min(0, least * 1.05), Math.max(0, most * 1.05) || 1] },
        },
        axes: [
          { ...axis, splits: () => months.map((_, n) => n).filter((n) => (months.length - 1 - n) % apart === 0), values: (_, ticks) => ticks.map((tick) => months[tick]) },
          { ...axis, size: 64, values: (_, ticks) => ticks.map((tick) => short.format(tick)) },
        ],
        series: [
          { label: "Month", value: (_, spot) => (spot == null ? "–" : months[Math.round(spot)]) },
          ...series.map(({ name }, n) => ({
            label: name,
            fill: colour(n ? `--chart-${n + 1}` : "--chart"),
            stroke: colour(n ? `--chart-${n + 1}` : "--chart"),
            width: 0,
            paths: uPlot.paths.bars({ size: [0.85, 48] }),
            points: { show: false },
            value: (_, value) => (value == null ? "–" : money.format(value)),
          })),
        ],
      },
    };
  };

  const daily = (plot, data) => ({ options: options(plot, data), data: [data.at, data.values] });

  const draw = (figure) => {
    const plot = figure.querySelector(".plot");
    const given = JSON.parse(figure.dataset.chart);
    drawn.get(figure)?.destroy();
    plot.hidden = false;
    const made = (given.months ? monthly : daily)(plot, given);
    drawn.set(figure, new uPlot(made.options, made.data, plot));
  };

  const resized = new ResizeObserver((entries) => {
    for (const { target } of entries) drawn.get(target)?.setSize({ width: target.querySelector(".plot").clientWidth, height: HEIGHT });
  });

  const look = () => {
    for (const figure of drawn.keys()) if (!figure.isConnected) drawn.delete(figure);
    for (const figure of document.querySelectorAll("figure[data-chart]"))
      if (!drawn.has(figure) || !figure.querySelector("canvas")) {
        draw(figure);
        resized.observe(figure);
      }
  };

  dark.addEventListener("change", () => [...drawn.keys()].forEach(draw));
  new MutationObserver(look).observe(document.getElementById("main"), { childList: true, subtree: true });
  look();
})();
