"""Reports: one HTML file that needs nothing but a browser. Only here are pictures drawn, with plotly."""
